"""A style of Kokoro that follows a recording: the network in torch, its gradient, and the fit."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes import recordings
from halfsecond import audio
from halfsecond.models.speaker.encoder import SpeakerEncoder, similarity
from halfsecond_export.voice.kokoro_speakers import (
    TIMBRE,
    measure_kokoro_speakers,
    read_kokoro_speakers,
)
from halfsecond_export.voice.pitch import typical_pitch_hz

ModelDir = Callable[[str], Path]
Samples = NDArray[np.float32]


def sung(pitch_hz: float, *, harmonics: int = 12) -> Samples:
    """Two seconds of a tone with soft overtones and a little noise."""
    time_s = np.arange(2 * audio.RATE_HZ) / audio.RATE_HZ
    orders = np.arange(1, harmonics + 1)[:, None]
    tone = (np.sin(2 * np.pi * pitch_hz * orders * time_s) / orders).sum(axis=0)
    noise = np.random.default_rng(0).standard_normal(len(tone))
    return np.asarray(0.1 * tone + 0.002 * noise, np.float32)


@pytest.mark.parametrize("pitch_hz", [85.0, 120.0, 210.0, 330.0])
def test_the_pitch_is_heard_and_not_its_octaves(pitch_hz: float) -> None:
    assert typical_pitch_hz(sung(pitch_hz)) == pytest.approx(pitch_hz, rel=0.03)


def test_noise_and_silence_have_no_pitch() -> None:
    assert typical_pitch_hz(np.zeros(audio.RATE_HZ, np.float32)) == 0.0
    noise = np.random.default_rng(1).standard_normal(audio.RATE_HZ).astype(np.float32)
    assert typical_pitch_hz(0.1 * noise) == 0.0
    assert typical_pitch_hz(sung(120.0)[:100]) == 0.0


def test_a_fit_begins_with_who_sounds_alike_and_takes_the_melody_of_the_language() -> None:
    speakers = read_kokoro_speakers()
    assert len(speakers.names) == 54
    for name in ("af_heart", "am_onyx", "zm_yunxi"):
        row = speakers.names.index(name)
        voice, pitch_hz = speakers.voices[row], float(speakers.pitches_hz[row])
        assert speakers.nearest(voice, pitch_hz) == row
        spoken = speakers.names[speakers.nearest(voice, pitch_hz, language="zh")]
        assert spoken.startswith("z")
        assert abs(np.log2(speakers.pitches_hz[speakers.names.index(spoken)] / pitch_hz)) < 0.6


@pytest.mark.models
def test_the_stored_speakers_are_what_is_heard_of_them(model_dir: ModelDir, tmp_path: Path) -> None:
    names = ("af_heart", "am_michael", "zm_yunxi")
    for name in names:
        shutil.copy(model_dir("kokoro") / "voices" / f"{name}.bin", tmp_path)
    measured = measure_kokoro_speakers(model_dir("kokoro"), model_dir("speaker-encoder"), tmp_path)
    stored = read_kokoro_speakers()
    assert measured.names == names
    rows = [stored.names.index(name) for name in names]
    np.testing.assert_allclose(measured.styles, stored.styles[rows], atol=1e-3)
    np.testing.assert_allclose(measured.pitches_hz, stored.pitches_hz[rows], rtol=0.05)
    assert np.sum(measured.voices * stored.voices[rows], axis=1).min() > 0.98


def test_speakers_are_likely_timbres_and_others_are_not() -> None:
    speakers = read_kokoro_speakers()
    mean, spread = speakers.timbres()
    places = np.linalg.solve(spread, (speakers.styles[:, :TIMBRE] - mean).T)
    assert 0.2 < np.mean(places**2) < 1.0
    far = np.linalg.solve(spread, np.random.default_rng(0).normal(0.0, 0.3, TIMBRE))
    assert np.mean(far**2) > 10.0


@pytest.fixture(scope="module")
def fit(model_dir: ModelDir) -> Any:
    pytest.importorskip("torch", reason="torch is not installed: pip install 'halfsecond[export]'")
    from halfsecond_export.voice.kokoro import KokoroFit

    opened = KokoroFit(model_dir("kokoro"), model_dir("speaker-encoder"))
    yield opened
    opened.close()


@pytest.mark.models
def test_torch_hears_the_voice_that_the_runtime_hears(
    fit: Any, model_dir: ModelDir, clips_dir: Path
) -> None:
    import torch  # pyright: ignore[reportMissingImports]

    from halfsecond_export.voice.kokoro import _mel_power

    sound = recordings.reader(clips_dir)[8_000 : 8_000 + 25_600]
    encoder = SpeakerEncoder(model_dir("speaker-encoder") / "speaker_encoder.onnx")
    mels = _mel_power(torch.tensor(sound))[None, :160]
    (heard,) = fit._heard({"mels": mels})
    assert similarity(heard[0].numpy(), encoder.embed_windows(sound)[0]) > 0.999


@pytest.mark.slow
@pytest.mark.models
def test_the_style_has_the_gradient_of_what_is_heard(fit: Any) -> None:
    import torch  # pyright: ignore[reportMissingImports]

    from halfsecond_export.voice.kokoro import _excerpt

    speakers = read_kokoro_speakers()
    at = speakers.names.index("af_heart")
    style = torch.tensor(speakers.styles[at]).requires_grad_()
    inputs = _excerpt(fit._spoken("How do you do, and who are you?", speakers.styles[at]), _rng())
    target = torch.tensor(speakers.voices[speakers.names.index("am_onyx")])
    alike = fit._voice(inputs, style) @ target
    alike.backward()
    direction = style.grad / style.grad.norm()
    with torch.no_grad():
        near, far = (fit._voice(inputs, style + s * 0.002 * direction) @ target for s in (-1, 1))
    expected = float(style.grad.norm()) * 0.004
    assert float(far - near) == pytest.approx(expected, rel=0.2)
    assert not np.any(style.grad[TIMBRE:].numpy()), "the decoder hears the first half alone"


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.slow
@pytest.mark.models
def test_some_steps_bring_the_voice_nearer(fit: Any, clips_dir: Path) -> None:
    steps: list[float] = []
    fitted = fit.fit(
        recordings.reader(clips_dir),
        language="en",
        steps=16,
        progress=lambda done, _text: steps.append(done),
    )
    assert fitted.style.shape == (256,)
    assert len(steps) == 16
    assert fitted.likeness > fitted.likeness_before + 0.03
