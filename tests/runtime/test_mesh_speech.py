"""Real speech on a real portrait: what the mouth was told is what is seen, and in time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soxr
from numpy.typing import NDArray

import halfsecond
from halfsecond.models.face.aperture import ApertureMeter
from halfsecond.models.lipsync.driver import LIPSYNC_RATE_HZ, Frame
from halfsecond.models.lipsync.mesh import MeshLipSync
from halfsecond.models.tts.hibari import HibariVoice
from halfsecond.models.tts.voice import SPEECH_RATE_HZ, Phone

pytestmark = pytest.mark.models

FaceModels = tuple[Path, Path]

ASTRONAUT = Path(halfsecond.__file__).parent / "assets" / "astronaut.png"
SENTENCE = "Maybe my mother and Bob have a big open boat by the harbour."

Speech = list[tuple[NDArray[np.float32], tuple[Phone, ...]]]


@pytest.fixture(scope="module")
def speech(model_dir: Callable[[str], Path]) -> Speech:
    voice = HibariVoice(model_dir("hibari") / "hibari.onnx")
    return [
        (
            soxr.resample(chunk.samples, SPEECH_RATE_HZ, LIPSYNC_RATE_HZ).astype(np.float32),
            chunk.phones,
        )
        for chunk in voice.speak(SENTENCE)
    ]


@pytest.fixture(scope="module")
def models(model_dir: Callable[[str], Path]) -> FaceModels:
    folder = model_dir("face")
    return folder / "face_detector.onnx", folder / "face_landmarks.onnx"


def spoken_frames(models: FaceModels, speech: Speech, *, with_phones: bool) -> list[Frame]:
    driver = MeshLipSync.open(ASTRONAUT, detector=models[0], landmarks=models[1], seed=1)
    driver.begin()
    frames: list[Frame] = []
    for samples, phones in speech:
        frames += driver.feed(samples, phones=phones if with_phones else ())
    return [*frames, *driver.finish()]


def best_lag(one: NDArray[np.floating], other: NDArray[np.floating]) -> tuple[int, float]:
    """The shift of `other` in frames at which both agree best, and how well they do."""

    def agreement(lag: int) -> float:
        first = one[max(0, -lag) : len(one) - max(0, lag)]
        second = other[max(0, lag) : len(other) - max(0, -lag)]
        return float(np.corrcoef(first, second)[0, 1])

    lag = max(range(-6, 7), key=agreement)
    return lag, agreement(lag)


@pytest.mark.parametrize("with_phones", [True, False])
def test_the_mouth_seen_follows_the_mouth_commanded_within_a_frame(
    models: FaceModels, speech: Speech, with_phones: bool
) -> None:
    frames = spoken_frames(models, speech, with_phones=with_phones)
    commanded = np.array([frame.mouth for frame in frames])
    seen = ApertureMeter(*models).measure_all(frame.image for frame in frames)
    lag, agreement = best_lag(commanded, seen)
    assert abs(lag) <= 1
    assert agreement > 0.85


def test_the_sound_alone_moves_the_mouth_much_as_phonemes_do(
    models: FaceModels, speech: Speech
) -> None:
    told = np.array([f.mouth for f in spoken_frames(models, speech, with_phones=True)])
    heard = np.array([f.mouth for f in spoken_frames(models, speech, with_phones=False)])
    lag, agreement = best_lag(told, heard)
    assert abs(lag) <= 2
    assert agreement > 0.45
