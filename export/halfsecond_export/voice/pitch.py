"""How high somebody speaks: de Cheveigné and Kawahara 2002, "YIN", without its last refinement."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len

from halfsecond import audio

_LOWEST_HZ, _HIGHEST_HZ = 60.0, 400.0
_WINDOW, _HOP = 1024, 320
_UNLIKE = 0.15
"""Difference from itself one period later that still counts as voiced (YIN has 0.1 to 0.15)."""
_SOFTEST = 0.25
"""Of a loud moment's amplitude; softer ones are ends of words and the room."""


def typical_pitch_hz(samples: NDArray[np.float32]) -> float:
    """The median over voiced moments of (n,) mono 16 kHz; 0 where there are none."""
    shortest = int(audio.RATE_HZ / _HIGHEST_HZ)
    longest = int(audio.RATE_HZ / _LOWEST_HZ)
    size = _WINDOW + longest
    if len(samples) < size:
        return 0.0
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), size)[::_HOP]
    level = np.sqrt(np.mean(frames**2, axis=1))
    frames = frames[level > _SOFTEST * np.percentile(level, 95)]
    difference = _differences(frames, longest)
    mean = np.cumsum(difference[:, 1:], axis=1) / np.arange(1, longest)
    relative = np.ones_like(difference)
    relative[:, 1:] = difference[:, 1:] / np.maximum(mean, 1e-12)
    found = [period for row in relative if (period := _period(row, shortest))]
    return audio.RATE_HZ / float(np.median(found)) if found else 0.0


def _differences(frames: NDArray[np.float64], longest: int) -> NDArray[np.float64]:
    """(n, longest): the power of what a window differs by from itself so many samples later."""
    nfft = next_fast_len(frames.shape[1] + _WINDOW, real=True)
    head = np.fft.rfft(frames[:, :_WINDOW], nfft)
    product = np.fft.irfft(np.conj(head) * np.fft.rfft(frames, nfft), nfft)[:, :longest]
    total = np.cumsum(np.pad(frames**2, ((0, 0), (1, 0))), axis=1)
    power = total[:, _WINDOW:][:, :longest] - total[:, :longest]
    return np.asarray(np.maximum(power[:, :1] + power - 2.0 * product, 0.0))


def _period(row: NDArray[np.float64], shortest: int) -> int:
    """The first dip that is deep enough, down to its bottom; 0 for no voice."""
    deep = np.flatnonzero(row[shortest:] < _UNLIKE)
    if not len(deep):
        return 0
    at = shortest + int(deep[0])
    while at + 1 < len(row) and row[at + 1] < row[at]:
        at += 1
    return at
