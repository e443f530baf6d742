"""When the microphone's samples were taken, told from blocks that come late by a varying time."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

RATE_HZ = 16_000
BUCKET_S = 0.25
"""Arrivals are judged by the least late of each quarter of a second."""
KEPT_BUCKETS = 20
"""5 s: a network's quick moments come that often, and a sound card's clock drifts by less than a
millisecond in it."""
JUMP_S = 0.04
"""Two buckets that are later than the line by this much: samples were lost, or the stream stood
still. Less is taken for a network that has become slower for a while."""


@dataclass
class _Bucket:
    """The least lateness of one stretch of time."""

    number: int
    late_s: float


class MicClock:
    """The line through the quickest arrivals: a block cannot come before its last sample is taken.

    What is called late here is an arrival against the count of samples. The line follows a slow
    drift of the microphone's clock, drops at once to a quicker arrival, and rises within 0.75 s
    when samples are missing for good.
    """

    def __init__(self) -> None:
        self._samples = 0
        self._buckets: deque[_Bucket] = deque()

    def arrived(self, n_samples: int, at_s: float) -> float:
        """Takes a block of 16 kHz samples that came at `at_s`; gives when its first was taken.

        Both times are the server's; the way from the client counts as none.
        """
        start_s = self._samples / RATE_HZ
        self._samples += n_samples
        self._note(at_s, at_s - self._samples / RATE_HZ)
        return start_s + min(bucket.late_s for bucket in self._buckets)

    def _note(self, at_s: float, late_s: float) -> None:
        number = int(at_s // BUCKET_S)
        if not self._buckets or self._buckets[-1].number != number:
            self._forget_before_a_jump()
            while self._buckets and self._buckets[0].number <= number - KEPT_BUCKETS:
                self._buckets.popleft()
            self._buckets.append(_Bucket(number, late_s))
        else:
            self._buckets[-1].late_s = min(self._buckets[-1].late_s, late_s)

    def _forget_before_a_jump(self) -> None:
        """Once two full buckets in succession are late, what was before them says nothing."""
        if len(self._buckets) < 3:
            return
        *older, last_but_one, last = self._buckets
        line_s = min(bucket.late_s for bucket in older)
        if min(last_but_one.late_s, last.late_s) > line_s + JUMP_S:
            self._buckets.clear()
            self._buckets.extend((last_but_one, last))
