from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from halfsecond.models.lipsync.mel import (
    MEL_BANDS,
    SILENT_MEL,
    MelStream,
    first_step,
    mel_spectrogram,
)

RECIPE = Path(__file__).with_name("wav2lip_mel_reference.py")


@pytest.fixture(scope="module")
def recipe() -> dict[str, Any]:
    """The names of the script that made the reference: its signal, lengths and file."""
    return runpy.run_path(str(RECIPE))


@pytest.mark.parametrize("which", [0, 1, 2])
def test_the_steps_of_a_clip_are_those_of_librosa(recipe: dict[str, Any], which: int) -> None:
    length = recipe["LENGTHS"][which]
    with np.load(recipe["REFERENCE"]) as file:
        expected = file[str(length)]
    steps = mel_spectrogram(recipe["reference_signal"](length))
    assert steps.shape == (1 + length // 200, MEL_BANDS)
    np.testing.assert_allclose(steps.T, expected, atol=2e-6)


@pytest.mark.parametrize("piece", [1, 7, 200, 333, 1_601, 9_600])
def test_pieces_give_the_steps_of_the_whole_clip(recipe: dict[str, Any], piece: int) -> None:
    signal = recipe["reference_signal"](9_600)
    stream = MelStream()
    parts = [stream.push(signal[i : i + piece]) for i in range(0, len(signal), piece)]
    steps = np.concatenate([*parts, stream.finish()])
    np.testing.assert_allclose(steps, mel_spectrogram(signal), atol=1e-6)


def test_a_step_appears_with_the_last_sample_of_its_window(recipe: dict[str, Any]) -> None:
    signal = recipe["reference_signal"](9_600)
    stream = MelStream()
    assert len(stream.push(signal[:400])) == 0  # the mirror image before the start needs one more
    assert len(stream.push(signal[400:401])) == 1
    assert len(stream.push(signal[401:599])) == 0
    assert len(stream.push(signal[599:600])) == 1


def test_no_samples_make_no_steps() -> None:
    stream = MelStream()
    assert stream.push(_samples(0)).shape == (0, MEL_BANDS)
    assert stream.finish().shape == (0, MEL_BANDS)


@pytest.mark.parametrize("length", [1, 2, 100, 400, 401, 799, 801])
def test_clips_shorter_than_a_window_have_steps_too(length: int) -> None:
    signal = np.random.default_rng(1).normal(0, 0.1, length).astype(np.float32)
    assert mel_spectrogram(signal).shape == (1 + length // 200, MEL_BANDS)


def test_digital_silence_is_the_floor_and_full_scale_stays_in_range() -> None:
    assert np.all(mel_spectrogram(_samples(2_000)) == SILENT_MEL)
    loud = np.sign(np.random.default_rng(0).normal(size=4_000)).astype(np.float32)
    assert mel_spectrogram(loud).max() <= 4.0


def test_a_frame_hears_the_step_that_the_published_inference_gives_it() -> None:
    for fps in (25, 30):
        for frame in range(3_000):
            assert first_step(frame, fps) == int(round(frame * (80.0 / fps), 6))


def _samples(count: int) -> NDArray[np.float32]:
    return np.zeros(count, np.float32)
