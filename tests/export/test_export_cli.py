"""`halfsecond export` where its packages are not installed, and what it compares on."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from halfsecond import audio
from halfsecond.errors import ConfigError
from halfsecond_export.cli import app


@pytest.mark.parametrize("arguments", [["wav2lip", "w.pth"], ["wav2lip-train", "--out", "w.pth"]])
def test_a_command_without_torch_says_what_to_install(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in [n for n in sys.modules if n.startswith("halfsecond_export.wav2lip")]:
        monkeypatch.delitem(sys.modules, name)
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, ConfigError)
    assert "needs torch, which is not installed" in str(result.exception)
    assert "pip install 'halfsecond[export]'" in str(result.exception)


def test_help_needs_no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    assert "wav2lip-train" in result.stdout


def test_a_model_that_knows_only_english_is_compared_on_english(clips_dir: Path) -> None:
    from halfsecond_export.commands.whisper import _recordings

    every = _recordings(None, is_english_only=False)
    english = _recordings(None, is_english_only=True)
    chinese = audio.load(clips_dir / "zh-close.flac").samples
    assert any(np.array_equal(chinese, samples) for samples in every)
    assert not any(np.array_equal(chinese, samples) for samples in english)
    assert len(english) > 0.8 * len(every)
