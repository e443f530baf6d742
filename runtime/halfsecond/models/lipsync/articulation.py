"""The mouth over time from phoneme times: neighbours blend, lips close where they must.

Blending follows Cohen and Massaro, "Modeling coarticulation in synthetic visual speech" (1993):
each sound pulls at the mouth with a weight that falls off before and after it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.lipsync.mouth import CHANNELS
from halfsecond.models.lipsync.visemes import BILABIALS, LENGTH_MARKS, visemes
from halfsecond.models.tts.voice import Phone

Array = NDArray[np.float32]

LEAD_S = 0.02
"""Half a frame, for a picture stands for a whole one. 0.06 puts the lips 35 ms further ahead (the
measure of `bench latency`, ten sentences)."""
REACH_S = 0.10
"""Sounds that begin later than this after the instant shown do not shape it yet."""
FALL_S = 0.055
"""Time in which a sound's pull falls to a third. Longer mumbles, shorter twitches."""
CLOSURE_S = 0.06
"""Lips take this long to meet before p, b, m, and to part after."""
CLOSURE_HELD = 0.75
"""Part of a plosive in which the lips are shut; then it bursts."""
MIN_CLOSURE_S = 0.05
"""Lips stay shut at least this long, so that one frame at 25 a second shows it."""

JAW_GAIN = 1.2
"""Blending with neighbours flattens every vowel; this gives the peaks back."""
LONGEST_S = 1.0
"""No sound is longer."""
COVER_FADE_S = 0.06
"""Between what phonemes say and what the sound alone says, the mouth changes over in this time."""

_JAW = np.array([1, 0, 1, 1, 1, 0], np.float32)


@dataclass(frozen=True)
class _Target:
    start_s: float
    end_s: float
    pose: Array
    weight: Array


@dataclass(frozen=True)
class _Closure:
    start_s: float
    end_s: float


class PhoneTrack:
    """Poses at any time of a stream of phonemes that still grows.

    A pose at t depends only on sounds that begin before t + LEAD_S + REACH_S, however many more
    are known: a stream gives the same mouth in whatever pieces it comes.
    """

    def __init__(self) -> None:
        self._targets: list[_Target] = []
        self._ends: list[float] = []
        self._closures: list[_Closure] = []
        self._shut_from: list[float] = []

    def add(self, phones: Sequence[Phone], offset_s: float) -> None:
        """Phonemes in order; their times are relative to `offset_s` of the stream."""
        for phone in phones:
            if phone.symbol in LENGTH_MARKS:
                continue
            self._add_one(phone.symbol, phone.start_s + offset_s, phone.end_s + offset_s)

    def _add_one(self, symbol: str, start_s: float, end_s: float) -> None:
        parts = visemes(symbol)
        length = (end_s - start_s) / len(parts)
        for index, viseme in enumerate(parts):
            weight = _JAW * viseme.jaw_hold + (1 - _JAW) * viseme.lip_hold
            begin = start_s + index * length
            self._targets.append(
                _Target(begin, begin + length, viseme.pose.as_array(), weight.astype(np.float32))
            )
            self._ends.append(begin + length)
        if symbol in BILABIALS:
            held = (end_s - start_s) * (1.0 if symbol == "m" else CLOSURE_HELD)
            self._closures.append(_Closure(start_s, start_s + max(held, MIN_CLOSURE_S)))
            self._shut_from.append(start_s)

    def cover(self, t_s: float) -> float:
        """1 where phonemes say what the mouth does at `t_s`, 0 where only the sound can."""
        first = bisect_left(self._ends, t_s - COVER_FADE_S)
        if first == len(self._targets):
            return 0.0
        target = self._targets[first]
        away = max(target.start_s - t_s, t_s - target.end_s, 0.0)
        # Further on there may be a nearer one: a phoneme that has ended is followed by its next.
        if first + 1 < len(self._targets):
            away = min(away, max(self._targets[first + 1].start_s - t_s, 0.0))
        return _ease(1.0 - away / COVER_FADE_S)

    def at(self, t_s: float) -> Array:
        """(6,) values of a mouth pose at `t_s` seconds of the stream."""
        heard_s = t_s + LEAD_S
        horizon_s = heard_s + REACH_S
        total = np.full(len(CHANNELS), 1e-4, np.float32)
        pose = np.zeros(len(CHANNELS), np.float32)
        for target in self._targets[bisect_left(self._ends, heard_s - 5 * FALL_S) :]:
            if target.start_s >= horizon_s:
                break
            pull = target.weight * _pull(target, heard_s)
            total += pull
            pose += pull * target.pose
        return self._close(pose / total, heard_s, horizon_s)

    def _close(self, pose: Array, heard_s: float, horizon_s: float) -> Array:
        closed = 0.0
        for closure in self._closures[bisect_left(self._shut_from, heard_s - LONGEST_S) :]:
            if closure.start_s >= horizon_s:
                break
            away = max(closure.start_s - heard_s, heard_s - closure.end_s, 0.0)
            closed = max(closed, _ease(1.0 - away / CLOSURE_S))
        jaw, width, upper, lower, press, rounding = pose.tolist()
        left = 1.0 - closed
        jaw = min(1.0, JAW_GAIN * jaw)
        # What stays of the jaw is hidden behind pressed lips.
        values = [
            jaw * left,
            width,
            upper * left,
            lower * left,
            max(press, 0.55 * closed),
            rounding,
        ]
        return np.array(values, np.float32)


def _pull(target: _Target, t_s: float) -> float:
    """1 in the middle half of a sound, falling off on both sides."""
    quarter = (target.end_s - target.start_s) / 4
    away = max(target.start_s + quarter - t_s, t_s - target.end_s + quarter, 0.0)
    return float(np.exp(-((away / FALL_S) ** 1.5)))


def _ease(x: float) -> float:
    x = min(max(x, 0.0), 1.0)
    return x * x * (3.0 - 2.0 * x)
