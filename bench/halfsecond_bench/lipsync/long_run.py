"""Whether sound and lips part over a long time."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from halfsecond.models.lipsync.driver import LIPSYNC_RATE_HZ, LipSync
from halfsecond.models.tts.voice import Phone
from halfsecond_bench.av_offset import offset_of
from halfsecond_bench.lipsync.speech import Speech
from halfsecond_bench.lipsync.take import Landmarks, Take, take

LOOK_S = 20.0
"""How much of the beginning and of the end is looked at."""


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """One stream of speech without a break."""

    length_s: float
    frames: int
    missing_frames: int
    """By which the frames are fewer than the sound asks for; negative: more."""
    start_ms: float | None
    """Offset of sound and lips in the beginning, from content; positive: the sound is ahead."""
    end_ms: float | None

    @property
    def drift_ms(self) -> float | None:
        """How far they have parted; None where either end could not be told."""
        if self.start_ms is None or self.end_ms is None:
            return None
        return self.end_ms - self.start_ms


def drift(driver: LipSync, meter: Landmarks, speech: Speech, *, length_s: float) -> Drift:
    """The driver says the same over and over, as one stream of `length_s`."""
    times = max(1, round(length_s / speech.length_s))
    long = Speech(speech.voice, np.tile(speech.samples, times), tuple(_repeated(speech, times)))
    end_s = long.length_s

    def looks_at(t_s: float) -> bool:
        return t_s < LOOK_S or t_s > end_s - LOOK_S

    found = take(driver, long, meter, looks_at=looks_at)
    wanted = round(end_s * driver.fps)
    driven = int((found.at_s < end_s - 1e-6).sum())
    return Drift(
        length_s=round(end_s, 1),
        frames=driven,
        missing_frames=wanted - driven,
        start_ms=_offset_ms(found, 0.0, LOOK_S),
        end_ms=_offset_ms(found, end_s - LOOK_S, end_s),
    )


def _repeated(speech: Speech, times: int) -> Sequence[Phone]:
    return [
        Phone(p.symbol, p.start_s + k * speech.length_s, p.end_s + k * speech.length_s)
        for k in range(times)
        for p in speech.phones
    ]


def _offset_ms(found: Take, from_s: float, to_s: float) -> float | None:
    within = (found.at_s >= from_s) & (found.at_s < to_s) & np.isfinite(found.seen)
    first, last = int(from_s * LIPSYNC_RATE_HZ), int(to_s * LIPSYNC_RATE_HZ)
    samples = found.speech.samples[max(0, first) : last]
    if within.sum() < 25:
        return None
    times_s = found.at_s[within] - max(0.0, from_s)
    offset = offset_of(times_s, found.seen[within], samples, LIPSYNC_RATE_HZ)
    return None if offset is None else round(1000 * offset.offset_s, 1)
