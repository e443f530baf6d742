"""Coqui's speaker encoder: the same numbers as torch, from the user's own checkpoint.

data/coqui_encoder.npz is what torch 2.13 and librosa 0.11 compute (`coqui_encoder_reference.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from typer.testing import CliRunner

from fakes import recordings
from fakes.checkpoints import save_archive
from fakes.coqui import BANDS, CONFIG, SIZE, encoder_weights
from halfsecond import audio
from halfsecond.errors import ModelMissingError, UnsupportedModelError
from halfsecond.voiceprint import read_voiceprint
from halfsecond_export.cli import app
from halfsecond_export.voice.coqui import CoquiEncoder
from halfsecond_export.voice.coqui_network import bands_of, read_weights, write_network

REFERENCE = Path(__file__).parent / "data" / "coqui_encoder.npz"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A checkpoint with its config beside it, as they were published."""
    path = tmp_path / "model_se.pth"
    save_archive(path, {"model": encoder_weights(), "step": 7})
    (tmp_path / "config_se.json").write_text(json.dumps(CONFIG))
    return path


def opened(checkpoint: Path) -> CoquiEncoder:
    return CoquiEncoder(checkpoint, checkpoint.with_name("config_se.json"))


def test_the_network_gives_what_torch_gives(checkpoint: Path, tmp_path: Path) -> None:
    weights = read_weights(checkpoint)
    assert bands_of(weights) == BANDS
    write_network(weights, tmp_path / "encoder.onnx")
    session = onnxruntime.InferenceSession(
        str(tmp_path / "encoder.onnx"), providers=["CPUExecutionProvider"]
    )
    reference = np.load(REFERENCE)
    voices = np.asarray(session.run(None, {"mels": reference["mels"]})[0])
    np.testing.assert_allclose(voices, reference["voices"], atol=2e-6)


def test_other_weights_are_another_voice(tmp_path: Path) -> None:
    save_archive(tmp_path / "model_se.pth", {"model": encoder_weights(1)})
    write_network(read_weights(tmp_path / "model_se.pth"), tmp_path / "encoder.onnx")
    session = onnxruntime.InferenceSession(
        str(tmp_path / "encoder.onnx"), providers=["CPUExecutionProvider"]
    )
    reference = np.load(REFERENCE)
    voices = np.asarray(session.run(None, {"mels": reference["mels"]})[0])
    assert np.abs(voices - reference["voices"]).max() > 0.1


def test_the_front_end_hears_what_librosa_hears(checkpoint: Path) -> None:
    reference = np.load(REFERENCE)
    heard = opened(checkpoint).mels(reference["samples"])
    np.testing.assert_allclose(heard, reference["heard"], atol=2e-4)


def test_a_voice_is_the_mean_over_windows_and_loudness_hardly_counts(checkpoint: Path) -> None:
    encoder = opened(checkpoint)
    noise = recordings.pink_noise(80_000)
    loud, soft = encoder.embed(noise), encoder.embed(recordings.at_level(noise, -32.0))
    assert loud.shape == (SIZE,)
    cosine = float(loud @ soft / np.linalg.norm(loud) / np.linalg.norm(soft))
    assert cosine > 0.99
    assert encoder.embed(noise[:16_000]).shape == (SIZE,)


@pytest.mark.models
def test_export_voice_takes_the_checkpoint_and_says_whose_voiceprint_it_is(
    checkpoint: Path, tmp_path: Path, clips_dir: Path
) -> None:
    audio.save_wav(tmp_path / "ref.wav", recordings.reader(clips_dir))
    arguments = ["voice", str(tmp_path / "ref.wav"), "--name", "reader", "--consent", "Ada 2026"]
    arguments += ["--out", str(tmp_path / "v"), "--encoder", str(checkpoint)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.exception
    voiceprint = read_voiceprint(tmp_path / "v")
    assert voiceprint.encoder == "coqui-resnet"
    assert voiceprint.values.shape == (SIZE,)
    with pytest.raises(UnsupportedModelError, match="coqui-resnet"):
        voiceprint.for_encoder("resemblyzer")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c["model_params"].update(model_name="lstm"), "another speaker encoder"),
        (lambda c: c["model_params"].update(log_input=False), "another speaker encoder"),
        (lambda c: c["model_params"].update(encoder_type="SAP"), "another speaker encoder"),
        (lambda c: c["audio"].update(sample_rate=22_050), "another speaker encoder"),
        (lambda c: c["audio"].update(num_mels=64), "hears 16 bands"),
    ],
)
def test_another_front_end_is_refused(
    checkpoint: Path, change: Callable[[Any], None], said: str
) -> None:
    config = json.loads(json.dumps(CONFIG))
    change(config)
    checkpoint.with_name("config_se.json").write_text(json.dumps(config))
    with pytest.raises(UnsupportedModelError, match=said):
        opened(checkpoint)


def test_other_checkpoints_and_a_missing_config_are_named(checkpoint: Path, tmp_path: Path) -> None:
    weights = encoder_weights()
    save_archive(tmp_path / "w.pth", {"model": {"fc.weight": weights["fc.weight"]}})
    with pytest.raises(UnsupportedModelError, match=r"not Coqui's ResNet speaker encoder"):
        read_weights(tmp_path / "w.pth")
    del weights["layer2.1.bn2.bias"]
    save_archive(checkpoint, {"model": weights})
    with pytest.raises(UnsupportedModelError, match=r"no layer2\.1\.bn2\.bias"):
        opened(checkpoint)
    checkpoint.with_name("config_se.json").unlink()
    with pytest.raises(ModelMissingError, match=r"config_se\.json .* beside it"):
        opened(checkpoint)
