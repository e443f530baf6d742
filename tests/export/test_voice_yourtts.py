"""From recordings to speech in one go: `export voice`, then a YourTTS that a config opens.

Weights are random in the right layout, so that no words come out; that other people sound other,
and that nothing is loaded to change them, does not depend on what the weights are.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

pytest.importorskip("torch", reason="torch is not installed: pip install 'halfsecond[export]'")

from fakes import recordings
from fakes.checkpoints import save_archive
from fakes.coqui import CONFIG, encoder_weights
from fakes.coqui_voices import voice as coqui_voice
from halfsecond import audio
from halfsecond.config import load
from halfsecond.config.check import check_usable
from halfsecond.errors import UnsupportedModelError
from halfsecond.models.tts.vits import VitsVoice
from halfsecond.stages import openers
from halfsecond.stages.engines import model_directory, open_store
from halfsecond.voiceprint import read_voiceprint
from halfsecond_export.cli import app

pytestmark = pytest.mark.models
SIZE = 12
"""Of the voiceprint that the YourTTS of `fakes.coqui_reference` wants."""


def run(*arguments: str | Path) -> None:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.exception


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, clips_dir: Path) -> Path:
    """Voiceprints of two people by Coqui's encoder and one by Resemblyzer's, and a YourTTS."""
    folder = tmp_path_factory.mktemp("yourtts")
    save_archive(folder / "model_se.pth", {"model": encoder_weights(size=SIZE)})
    (folder / "config_se.json").write_text(json.dumps(CONFIG), "utf-8")
    consent = ("--consent", "public domain, 2026-11-29")
    for name in ("reader", "president"):
        audio.save_wav(folder / f"{name}.wav", getattr(recordings, name)(clips_dir))
        out = ("--out", folder / f"{name}.voiceprint", "--encoder", folder / "model_se.pth")
        run("voice", folder / f"{name}.wav", "--name", name, *consent, *out)
    other = ("--out", folder / "other.voiceprint")
    run("voice", folder / "reader.wav", "--name", "reader", *consent, *other)
    (folder / "text.txt").write_text("hello there, who are you?\n", "utf-8")
    checkpoint = coqui_voice(folder / "source", "yourtts")
    wanted = ("--precision", "fp32", "--text", folder / "text.txt", "--home", folder)
    speaks_as = ("--voiceprint", folder / "reader.voiceprint")
    run("tts", checkpoint, "--out", folder / "voice", *wanted, *speaks_as)
    return folder


def configured(made: Path, voiceprint: str) -> Any:
    path = made / f"{voiceprint}.toml"
    path.write_text(
        f'[tts]\nmodel = "{made}/voice/fp32"\nvoiceprint = "{voiceprint}.voiceprint"\n', "utf-8"
    )
    return load(path)


def said(voice: VitsVoice) -> NDArray[np.float32]:
    chunks = list(voice.speak("hello there, who are you?"))
    assert "".join(chunk.text for chunk in chunks) == "hello there, who are you?"
    return np.concatenate([chunk.samples for chunk in chunks])


def test_two_recordings_speak_from_one_loaded_voice(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured(made, "reader")
    directory = model_directory("tts", config.tts.model, open_store(config))
    voice = openers.open_voice(config.tts, directory)
    assert isinstance(voice, VitsVoice)

    def load_nothing(*_arguments: Any, **_options: Any) -> Any:
        raise AssertionError("something was loaded")

    monkeypatch.setattr("halfsecond.models.tts.vits_network.open_session", load_nothing)
    reader, again = said(voice), said(voice)
    voice.voiceprint = read_voiceprint(made / "president.voiceprint")
    president = said(voice)
    voice.voiceprint = read_voiceprint(made / "reader.voiceprint")
    np.testing.assert_array_equal(reader, again)
    np.testing.assert_array_equal(reader, said(voice))
    shared = min(len(reader), len(president))
    apart = np.linalg.norm(reader[:shared] - president[:shared])
    assert len(reader) != len(president) or apart > 0.1 * np.linalg.norm(reader)


@pytest.mark.parametrize("when", ["checked", "opened", "changed"])
def test_a_voiceprint_of_another_encoder_is_refused_whatever_its_size(
    made: Path, when: str
) -> None:
    config = configured(made, "other")
    refused = pytest.raises(
        UnsupportedModelError, match=r"made by the speaker encoder resemblyzer.*--encoder"
    )
    actions: dict[str, Callable[[], object]] = {
        "checked": lambda: check_usable(config),
        "opened": lambda: openers.open_voice(config.tts, Path(config.tts.model)),
    }
    if when == "changed":
        good = configured(made, "reader")
        voice = openers.open_voice(good.tts, Path(good.tts.model))
        before = read_voiceprint(made / "other.voiceprint")
        same_size = type(before)(before.values[:SIZE], before.encoder, before.name)
        with refused:
            voice.voiceprint = same_size  # type: ignore[attr-defined]
        return
    with refused:
        actions[when]()
