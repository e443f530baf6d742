"""The log-mel spectrogram against Whisper's own filters and a plain evaluation of its formula."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from halfsecond.models.asr.mel import log_mel, mel_filters


def test_the_filters_are_whispers_own() -> None:
    """The file is from openai-whisper 20250625 (MIT), `whisper/assets/mel_filters.npz`."""
    with np.load(Path(__file__).parent / "whisper_mel_filters.npz") as file:
        np.testing.assert_allclose(mel_filters(80), file["mel_80"], atol=1e-8)


def plain_log_mel(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """Frame by frame and bin by bin, in double precision."""
    padded = np.pad(samples.astype(np.float64), 200, mode="reflect")
    window = 0.5 * (1 - np.cos(2 * np.pi * np.arange(400) / 400))
    kernel = np.exp(-2j * np.pi * np.outer(np.arange(201), np.arange(400)) / 400)
    frames = [
        np.abs(kernel @ (padded[160 * n : 160 * n + 400] * window)) ** 2
        for n in range(len(samples) // 160)
    ]
    levels = np.log10(np.maximum(mel_filters(80).astype(np.float64) @ np.array(frames).T, 1e-10))
    scaled: NDArray[np.float64] = (np.maximum(levels, levels.max() - 8) + 4) / 4
    return scaled


@pytest.mark.parametrize("samples", [1600, 16_000, 16_077])
def test_the_spectrogram_is_the_formulas(samples: int) -> None:
    rng = np.random.default_rng(samples)
    noise = (rng.normal(size=samples) * np.linspace(0, 0.3, samples)).astype(np.float32)
    found = log_mel(noise)
    assert found.dtype == np.float32
    assert found.shape == (80, samples // 160)
    np.testing.assert_allclose(found, plain_log_mel(noise), atol=1e-4)


def test_silence_is_flat_and_finite() -> None:
    np.testing.assert_allclose(log_mel(np.zeros(16_000, np.float32)), -1.5, rtol=1e-6)


def test_a_tone_is_in_the_band_of_its_pitch() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000).astype(np.float32)
    loudest = int(log_mel(tone)[:, 50].argmax())
    assert abs(float(mel_filters(80)[loudest].argmax()) * 40 - 1000) <= 40
