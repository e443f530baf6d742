"""Where audio can be cut between two words."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.asr.mel import RATE_HZ
from halfsecond.models.asr.recognizer import Word

QUIET_S = 0.1
"""Levels are taken over this long, so that a pause is quieter than the closure of a plosive."""
REACH_S = 0.15
"""How far from the time that Whisper gives for a word its true beginning may lie."""


def seam_before(samples: NDArray[np.float32], word: Word) -> int:
    """The middle of the quietest 0.1 s near the word's beginning: in the pause where there is one.

    samples: (n,) mono 16 kHz, the audio that the word's times count in.
    """
    half = round(QUIET_S * RATE_HZ / 2)
    reach = round(REACH_S * RATE_HZ)
    middle = min(round(word.start_s * RATE_HZ), len(samples) - half)
    first = max(half, middle - reach)
    last = min(len(samples) - half, middle + reach)
    if last < first:
        return max(0, middle)
    power = samples[first - half : last + half].astype(np.float64) ** 2
    summed = np.concatenate([[0.0], np.cumsum(power)])
    levels = summed[2 * half :] - summed[: len(summed) - 2 * half]
    return first + int(np.argmin(levels))
