"""English where hibari's package is not installed."""

from __future__ import annotations

import sys

import pytest

from halfsecond.errors import ConfigError
from halfsecond.models.tts.english import EnglishPhonemizer, english_words


def test_numbers_and_money_are_read_in_words() -> None:
    assert english_words("It opened in 1968.") == "It opened in nineteen sixty-eight."
    assert "two euros and fifty cents" in english_words("It costs €2.50")


def test_without_the_package_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n == "hibari" or n.startswith("hibari.")]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "hibari", None)
    for use in (EnglishPhonemizer, lambda: english_words("It costs 5 dollars.")):
        with pytest.raises(ConfigError, match="pip install --no-deps 'hibari-tts"):
            use()
