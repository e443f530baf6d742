"""Whisper's log-mel spectrogram in numpy: what the recogniser and the turn detector look at.

Constants and formula: OpenAI, Whisper, `whisper/audio.py`. Filters: Slaney's Auditory Toolbox
(1998), the scale and area normalisation that librosa uses by default.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import scipy.fft
from numpy.typing import NDArray

RATE_HZ = 16_000
WINDOW_SAMPLES = 400
HOP_SAMPLES = 160
FRAMES_PER_S = RATE_HZ // HOP_SAMPLES

_LINEAR_HZ_PER_MEL = 200.0 / 3
_LOG_FROM_HZ = 1_000.0
_LOG_FROM_MEL = _LOG_FROM_HZ / _LINEAR_HZ_PER_MEL
_LOG_STEP = math.log(6.4) / 27.0


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slaney's scale: linear up to 1 kHz, logarithmic above."""
    logarithmic = _LOG_FROM_HZ * np.exp(_LOG_STEP * (mel - _LOG_FROM_MEL))
    return np.where(mel < _LOG_FROM_MEL, mel * _LINEAR_HZ_PER_MEL, logarithmic)


def _hz_to_mel(hz: float) -> float:
    if hz < _LOG_FROM_HZ:
        return hz / _LINEAR_HZ_PER_MEL
    return _LOG_FROM_MEL + math.log(hz / _LOG_FROM_HZ) / _LOG_STEP


@lru_cache(maxsize=4)
def mel_filters(mels: int = 80) -> NDArray[np.float32]:
    """The triangular filters, (mels, 201) float32, each of unit area; do not write to them.

    mels: 80, or 128 for Whisper large-v3.
    """
    bins_hz = np.linspace(0.0, RATE_HZ / 2, WINDOW_SAMPLES // 2 + 1)
    edges_hz = _mel_to_hz(np.linspace(0.0, _hz_to_mel(RATE_HZ / 2), mels + 2))
    widths_hz = np.diff(edges_hz)
    slopes = edges_hz[:, None] - bins_hz[None, :]
    rising = -slopes[:-2] / widths_hz[:-1, None]
    falling = slopes[2:] / widths_hz[1:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    area = 2.0 / (edges_hz[2:] - edges_hz[:-2])
    filters: NDArray[np.float32] = (triangles * area[:, None]).astype(np.float32)
    filters.flags.writeable = False
    return filters


@lru_cache(maxsize=1)
def hann() -> NDArray[np.float32]:
    """The periodic Hann window, (400,) float32."""
    phase = 2.0 * np.pi * np.arange(WINDOW_SAMPLES) / WINDOW_SAMPLES
    window: NDArray[np.float32] = (0.5 - 0.5 * np.cos(phase)).astype(np.float32)
    return window


def log_mel(samples: NDArray[np.float32], *, mels: int = 80) -> NDArray[np.float32]:
    """Log-mel frames of 16 kHz audio, (mels, n // 160) float32, about -1 to 1.5.

    samples: (n,) float32, n > 200. The last frame is dropped and the range is cut at 80 dB below
    the loudest value, as Whisper does. Pad with zeros first to get a longer context.
    """
    half = WINDOW_SAMPLES // 2
    padded = np.pad(samples, (half, half), mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES)[::HOP_SAMPLES]
    frames = frames[: len(samples) // HOP_SAMPLES]
    spectrum: NDArray[np.complex64] = np.asarray(scipy.fft.rfft(frames * hann(), axis=1))
    power = spectrum.real**2 + spectrum.imag**2
    levels = np.log10(np.maximum(mel_filters(mels) @ power.T, 1e-10))
    levels = np.maximum(levels, levels.max() - 8.0)
    scaled: NDArray[np.float32] = ((levels + 4.0) / 4.0).astype(np.float32, copy=False)
    return scaled
