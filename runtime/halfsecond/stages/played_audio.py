"""What the loudspeaker plays, moment by moment: the reference of the echo canceller."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import firwin, resample_poly

from halfsecond.timeline import Now

RATE_HZ = 16_000
LEAD_S = 0.03
"""The reference is given this much early: a canceller can wait for an echo, and cannot look back.
It pays for the errors of both clocks."""
TOLERANCE_S = 0.03
"""Corrections smaller than this leave the reference as it is, for the canceller has to learn anew
after each jump. They wait for a silence."""
SOONEST_S, LATEST_S = -0.02, 0.2
"""How late after the estimate a client may report to play before the estimate follows it. The
canceller finds an echo up to half a second late, and none that comes before its reference."""
AIM_S = 0.06
"""Where the client is put in that window when it has left it."""
KEPT_S = 12.0
"""What was played is kept this long: microphone audio waits for at most 10 s to be heard."""


class PlayedAudio:
    """Follows the answers of one session on their way to the loudspeaker.

    An answer plays from the moment its first packet was handed over; the client is later than that
    by the way to it and by what it buffers, which the canceller finds out by itself. Memory: what
    was handed over and not yet played, and `KEPT_S` of what was.
    """

    def __init__(self, now: Now) -> None:
        self._now = now
        self._answers: deque[_Answer] = deque()
        self._next_s = -math.inf

    def add(self, turn: int, samples: NDArray[np.float32]) -> None:
        """A packet of an answer is handed over now: (n,) at 24 kHz, directly after the one before.

        The first of a turn starts it and ends what was played; one that comes after the ear has
        reached the end of what was there is played from now on.
        """
        now_s = self._now()
        if not self._answers or self._answers[-1].turn != turn:
            self.stop()
            self._answers.append(_Answer(turn, [_Stretch(now_s, 0.0)]))
        answer = self._answers[-1]
        answer.wait_for_sound(now_s)
        answer.append(samples)
        self._forget(now_s - KEPT_S)

    def pause(self) -> None:
        """The client was told to stand still; a second call changes nothing."""
        if self._answers:
            self._answers[-1].halt(self._now())

    def resume(self) -> None:
        """The client goes on from where it stood; without a pause nothing changes."""
        if self._answers:
            self._answers[-1].go_on(self._now())

    def stop(self) -> None:
        """Nothing more is played of what was handed over."""
        if self._answers:
            self._answers[-1].end(self._now())

    def report(self, turn: int, position_s: float) -> None:
        """The client says how far it has played this turn."""
        if self._answers and self._answers[-1].turn == turn and math.isfinite(position_s):
            self._answers[-1].correct(self._now() - position_s, position_s)

    def read(self, from_s: float, n_samples: int) -> NDArray[np.float32]:
        """(n_samples,) at 16 kHz: what was audible from `from_s` on, silence where nothing was.

        Stretches that follow one another within `TOLERANCE_S` are joined without a jump.
        """
        wanted_s = from_s + LEAD_S
        length_s = n_samples / RATE_HZ
        begin_s, end_s = sorted((wanted_s, self._next_s))
        is_sounding = any(a.is_heard_between(begin_s, end_s + length_s) for a in self._answers)
        if not is_sounding or abs(wanted_s - self._next_s) > TOLERANCE_S:
            self._next_s = wanted_s
        from_s, self._next_s = self._next_s, self._next_s + length_s
        played = np.zeros(n_samples, np.float32)
        for answer in self._answers:
            answer.write(played, from_s)
        return played

    def _forget(self, before_s: float) -> None:
        while len(self._answers) > 1 and self._answers[0].stretches[-1].end_s < before_s:
            self._answers.popleft()
        for answer in self._answers:
            answer.forget(before_s)


@dataclass
class _Stretch:
    """Time in which an answer was played without interruption."""

    start_s: float
    """On the server's clock."""
    pts_s: float
    """Place in the answer that is heard at `start_s`."""
    end_s: float = math.inf

    @property
    def origin_s(self) -> float:
        """When the answer would have begun if it had been played in one piece."""
        return self.start_s - self.pts_s


@dataclass
class _Answer:
    """The sound of one answer at 16 kHz, and when which part of it was heard."""

    turn: int
    stretches: list[_Stretch]
    is_over: bool = False
    _pieces: deque[tuple[int, NDArray[np.float32]]] = field(default_factory=deque)
    """(place of its first sample, samples)."""
    _length: int = 0
    _downsampler: _Downsampler = field(default_factory=lambda: _Downsampler())

    @property
    def length_s(self) -> float:
        return self._length / RATE_HZ

    def append(self, samples: NDArray[np.float32]) -> None:
        piece = self._downsampler.push(samples)
        self._pieces.append((self._length, piece))
        self._length += len(piece)

    def is_heard_between(self, begin_s: float, end_s: float) -> bool:
        """Whether any of it is played in that time."""
        return any(s.start_s < end_s and begin_s < self._heard_until_s(s) for s in self.stretches)

    def _heard_until_s(self, stretch: _Stretch) -> float:
        return min(stretch.end_s, stretch.origin_s + self.length_s)

    def wait_for_sound(self, now_s: float) -> None:
        """Where the ear is beyond what there is, it has waited, and goes on now."""
        last = self.stretches[-1]
        due_s = last.origin_s + self.length_s
        if self._length and math.isinf(last.end_s) and now_s > due_s + TOLERANCE_S:
            last.end_s = due_s
            self.stretches.append(_Stretch(now_s, self.length_s))

    def halt(self, now_s: float) -> None:
        last = self.stretches[-1]
        if math.isinf(last.end_s):
            last.end_s = now_s

    def go_on(self, now_s: float) -> None:
        last = self.stretches[-1]
        if math.isfinite(last.end_s) and not self.is_over:
            pts_s = min(last.pts_s + last.end_s - last.start_s, self.length_s)
            self.stretches.append(_Stretch(now_s, pts_s))

    def end(self, now_s: float) -> None:
        last = self.stretches[-1]
        last.end_s = min(now_s, self._heard_until_s(last))
        self.is_over = True

    def correct(self, origin_s: float, position_s: float) -> None:
        """Moves what is being played, if the client is far from where it was thought to be."""
        last = self.stretches[-1]
        is_at_end = position_s >= self.length_s  # where a player says the same again and again
        if math.isfinite(last.end_s) or position_s < last.pts_s or is_at_end:
            return
        late_s = origin_s - last.origin_s
        if not SOONEST_S <= late_s <= LATEST_S:
            last.start_s += late_s - AIM_S

    def write(self, played: NDArray[np.float32], from_s: float) -> None:
        """Writes what was heard of the answer into the time from `from_s` on."""
        for stretch in self.stretches:
            first = max(0, round((stretch.start_s - from_s) * RATE_HZ))
            last = min(len(played), round((self._heard_until_s(stretch) - from_s) * RATE_HZ))
            if first < last:
                place = round((from_s - stretch.origin_s) * RATE_HZ)
                self._copy(played[first:last], place + first)

    def _copy(self, to: NDArray[np.float32], place: int) -> None:
        for start, piece in self._pieces:
            first, last = max(place, start), min(place + len(to), start + len(piece))
            if first < last:
                to[first - place : last - place] = piece[first - start : last - start]

    def forget(self, before_s: float) -> None:
        """Drops what was heard before that time."""
        self.stretches = [s for s in self.stretches[:-1] if s.end_s >= before_s] + [
            self.stretches[-1]
        ]
        first = self.stretches[0]
        heard = first.pts_s + max(0.0, before_s - first.start_s)
        while self._pieces and self._pieces[0][0] + len(self._pieces[0][1]) < heard * RATE_HZ:
            self._pieces.popleft()


class _Downsampler:
    """24 kHz to 16 kHz in packets, 1.25 ms behind.

    A stream of soxr would hold back up to 37 ms, the end of an answer among them.
    """

    MARGIN = 30
    """Samples on each side that the filter of `resample_poly` looks at, in whole periods of 3."""

    def __init__(self) -> None:
        self._rest = np.zeros(self.MARGIN, np.float32)
        kaiser: Any = ("kaiser", 5.0)  # the default of `resample_poly`; scipy types names only
        self._filter = firwin(2 * self.MARGIN + 1, 1 / 3, window=kaiser)

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """The (n,) samples at 16 kHz that are certain with these."""
        waiting = np.concatenate([self._rest, samples])
        ready = (len(waiting) - 2 * self.MARGIN) // 3 * 3
        if ready <= 0:
            self._rest = waiting
            return np.zeros(0, np.float32)
        self._rest = waiting[ready:]
        down: NDArray[np.float32] = resample_poly(waiting, 2, 3, window=self._filter).astype(
            np.float32
        )
        return down[self.MARGIN * 2 // 3 : (self.MARGIN + ready) * 2 // 3]
