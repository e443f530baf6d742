"""The symbols of a Coqui voice, in the order in which its config.json makes them numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from halfsecond.errors import ModelCorruptError, UnsupportedModelError

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PUNCTUATION = "!'(),-.:;? "
_BLANK = "<BLNK>"
"""Coqui's defaults, for a config that leaves them out."""
_KINDS = ("VitsCharacters", "Graphemes", "IPAPhonemes", "BaseCharacters", "BaseVocabulary")


@dataclass(frozen=True)
class Symbols:
    """Numbers by symbol, and those of what has no sign."""

    numbers: dict[str, int]
    blank: int | None
    start: int | None
    end: int | None


def symbols_of(config: Mapping[str, Any], *, rows: int, source: str) -> Symbols:
    """The symbols that a config lists.

    rows: of the checkpoint's table, which must be as many.

    Raises UnsupportedModelError for a kind of list that is not known, ModelCorruptError for one
    that does not fit the checkpoint.
    """
    given: dict[str, Any] = dict(config.get("characters") or {})
    kind = str(given.get("characters_class") or "").rpartition(".")[2] or _default_kind(config)
    if kind not in _KINDS:
        raise UnsupportedModelError(
            f"{source} lists its symbols as {kind}; known are {', '.join(_KINDS)}"
        )
    if kind == "VitsCharacters":
        listed = _vits(given)
    elif kind == "BaseVocabulary":
        listed = [str(symbol) for symbol in given.get("vocab_dict") or ()]
    else:
        listed = _sorted(given)
    if len(listed) != rows:
        raise ModelCorruptError(
            f"{source} lists {len(listed)} symbols, the checkpoint knows {rows}; take the "
            "config.json that was published with it"
        )
    numbers = {symbol: at for at, symbol in enumerate(listed)}
    blank = _BLANK if kind == "VitsCharacters" else given.get("blank")
    specials = [given.get(name) for name in ("pad", "bos", "eos")] + [blank]
    spoken = {s: at for s, at in numbers.items() if s not in specials}
    return Symbols(
        spoken,
        blank=numbers.get(str(blank)),
        start=numbers.get(str(given.get("bos"))),
        end=numbers.get(str(given.get("eos"))),
    )


def _default_kind(config: Mapping[str, Any]) -> str:
    return "IPAPhonemes" if config.get("use_phonemes") else "Graphemes"


def _vits(given: Mapping[str, Any]) -> list[str]:
    """Pad, punctuation, letters, phonemes, blank, in the order of the config."""
    letters = _text(given, "characters", _LETTERS) + _text(given, "phonemes", "")
    punctuation = _text(given, "punctuations", _PUNCTUATION)
    return [_text(given, "pad", "_"), *punctuation, *letters, _BLANK]


def _sorted(given: Mapping[str, Any]) -> list[str]:
    """Pad, end, start, blank, letters in order, punctuation."""
    letters = _text(given, "characters", _LETTERS)
    if given.get("is_unique"):
        letters = "".join(sorted(set(letters)))
    elif given.get("is_sorted", True):
        letters = "".join(sorted(letters))
    specials = [_text(given, name, "") for name in ("pad", "eos", "bos", "blank")]
    return [*filter(None, specials), *letters, *_text(given, "punctuations", _PUNCTUATION)]


def _text(given: Mapping[str, Any], name: str, default: str) -> str:
    value = given.get(name)
    return default if value is None else str(value)
