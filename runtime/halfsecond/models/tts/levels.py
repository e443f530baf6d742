"""How loud speech is, and one constant gain that brings every voice to the same loudness."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.tts.voice import SPEECH_RATE_HZ

TARGET_DB = -20.0
"""The active speech level (dBFS) of every voice: higher, and the limiter is heard."""

_SILENCE_DB = -100.0
_ACTIVE_RANGE_DB = 30.0
"""Windows this far below the loudest count as pauses (after the idea of ITU-T P.56)."""
_WINDOW_S = 0.02
_KNEE = 0.8
_CEILING = 0.99
_MAX_GAIN_DB = 18.0
_MOST_GAINS = 32
"""Far more voices than speak in turn at one server; a gain that went is measured again."""


def window_levels_db(samples: NDArray[np.float32], window_s: float) -> NDArray[np.float64]:
    """The level of each whole window in dBFS (a full-scale square wave is 0), -100 at least."""
    size = round(window_s * SPEECH_RATE_HZ)
    windows = samples[: len(samples) // size * size].reshape(-1, size).astype(np.float64)
    power = np.mean(windows**2, axis=1) if len(windows) else np.zeros(0)
    levels: NDArray[np.float64] = 10.0 * np.log10(np.maximum(power, 10.0 ** (_SILENCE_DB / 10.0)))
    return levels


def speech_level_db(samples: NDArray[np.float32]) -> float:
    """The level of the parts of `samples` in which there is speech, in dBFS."""
    levels = window_levels_db(samples, _WINDOW_S)
    if not levels.size:
        return _SILENCE_DB
    active = levels[levels > levels.max() - _ACTIVE_RANGE_DB]
    return float(10.0 * np.log10(np.mean(10.0 ** (active / 10.0))))


def gain_for(samples: NDArray[np.float32]) -> float:
    """The factor that brings speech as loud as `samples` to `TARGET_DB`; 1 for silence."""
    level = speech_level_db(samples)
    if level < TARGET_DB - 3 * _MAX_GAIN_DB:
        return 1.0
    return float(10.0 ** (min(TARGET_DB - level, _MAX_GAIN_DB) / 20.0))


class Gains:
    """Gains of styles of speaking, each measured once, and the latest kept.

    A style is known by its digest alone: a visitor's voice is not held beyond the visit.
    """

    def __init__(self) -> None:
        self._by_digest: OrderedDict[bytes, float] = OrderedDict()

    def of(self, style: NDArray[np.float32], speak: Callable[[], NDArray[np.float32]]) -> float:
        """The gain of a style; `speak` gives a sentence in it, and is called for a new one."""
        digest = hashlib.sha256(style.tobytes()).digest()
        gain = self._by_digest.get(digest)
        self._by_digest[digest] = gain = gain_for(speak()) if gain is None else gain
        self._by_digest.move_to_end(digest)
        if len(self._by_digest) > _MOST_GAINS:
            self._by_digest.popitem(last=False)
        return gain


def amplified(samples: NDArray[np.float32], gain: float) -> NDArray[np.float32]:
    """`samples` times `gain`, peaks above 0.8 rounded off so that none passes 0.99."""
    loud: NDArray[np.float32] = (samples * gain).astype(np.float32)
    above = np.abs(loud) - _KNEE
    over = above > 0
    if over.any():
        room = _CEILING - _KNEE
        loud[over] = np.sign(loud[over]) * (_KNEE + room * np.tanh(above[over] / room))
    return loud
