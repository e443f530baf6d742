"""How far the lips are off the sound of an answer, told from time stamps while it plays.

Everywhere: positive where the sound is ahead of the lips. Two places are looked at.

- **sent**: a picture leaves for the client while the client's loudspeaker is at its playhead. A
  picture that leaves early is shown in time (0); one that leaves late cannot be seen earlier.
- **shown**: the client tells with its playhead how far the sound was when its newest picture
  appeared. Where it does, this is what counts: it knows its decoder and its screen.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from statistics import median
from typing import Literal

import numpy as np
import structlog

from halfsecond.metrics import METRICS

log = structlog.get_logger(__name__)

Measured = Literal["sent", "shown"]

AHEAD_S, BEHIND_S = 0.045, -0.125
"""Viewers notice sound beyond these, ahead and behind (ITU-R BT.1359-1, detectability)."""
RECENT = {"sent": 25, "shown": 4}
"""What the running offset is a median of: about a second, so that one late picture is no alarm."""
EVERY_PICTURES = 5
"""Pictures whose median is one point of the drift: 0.2 s, as often as a client tells its own."""
KEPT_POINTS = 300
"""The newest minute of an answer; 45,000 pairs, whose median takes some milliseconds."""
LEAST_S = 3.0
"""Shorter answers have no drift: a picture's jitter of 10 ms over 1 s would be 600 ms a minute."""
LEAST_APART_S = 1.0
"""Pairs of playheads closer than that tell more of the way than of the clocks."""
JUMP_S = 0.05
"""A playhead that moves by so much more or less than time has paused, run dry or started anew."""
MINUTE_S = 60.0


@dataclass(frozen=True)
class AvFigures:
    """What an answer amounts to. None: it was too short, or had no pictures or playheads."""

    measured: Measured
    """Where `offset_s` and `drift_s_per_minute` were."""
    offset_s: float | None
    """Median over its pictures."""
    drift_s_per_minute: float | None
    """Slope of the offset over the answer (Theil and Sen: single late pictures change nothing)."""
    playhead_drift_s_per_minute: float | None
    """How much faster the client's loudspeaker runs than the server's clock."""
    repeated: int
    """Times at which a picture was due, and the one before it still stood there."""
    dropped: int
    """Pictures that the client says it dropped because they were late."""

    def fields(self) -> dict[str, float]:
        """For a log line: what is known, in milliseconds."""
        told = {
            "av_offset_ms": self.offset_s,
            "av_drift_ms_per_minute": self.drift_s_per_minute,
            "playhead_drift_ms_per_minute": self.playhead_drift_s_per_minute,
        }
        return {name: round(1000 * value, 1) for name, value in told.items() if value is not None}


class AvOffset:
    """Follows one answer; keeps the process's metrics, and warns once when the lips run off."""

    def __init__(self, session: str, turn: int) -> None:
        self._session, self._turn = session, turn
        self._recent: dict[Measured, deque[float]] = {
            "sent": deque(maxlen=RECENT["sent"]),
            "shown": deque(maxlen=RECENT["shown"]),
        }
        self._offsets: dict[Measured, list[float]] = {"sent": [], "shown": []}
        self._points: dict[Measured, deque[tuple[float, float]]] = {
            "sent": deque(maxlen=KEPT_POINTS),
            "shown": deque(maxlen=KEPT_POINTS),
        }
        self._playheads: deque[tuple[int, float, float]] = deque(maxlen=KEPT_POINTS)
        """(stretch without a jump, server's clock, playhead)."""
        self._grid = _FrameGrid()
        self._dropped = 0
        self._has_warned = False

    @property
    def measured(self) -> Measured:
        """Which of the two counts."""
        return "shown" if self._offsets["shown"] else "sent"

    def sent(self, pts_s: float, playhead_s: float) -> None:
        """A picture of the answer leaves, and the client hears `playhead_s` by what it reported."""
        repeated, skipped = self._grid.place(pts_s, playhead_s)
        METRICS.repeated_pictures.inc(repeated)
        METRICS.skipped_pictures.inc(skipped)
        offsets = self._offsets["sent"]
        self._note("sent", max(0.0, playhead_s - pts_s))
        if len(offsets) % EVERY_PICTURES == 0:
            self._points["sent"].append((pts_s, median(offsets[-EVERY_PICTURES:])))

    def reported(
        self, pts_s: float, at_s: float, *, offset_s: float | None = None, dropped: int = 0
    ) -> None:
        """The client heard `pts_s` at `at_s` (server's clock), and told what it showed.

        offset_s: how far the sound was beyond the newest picture when that appeared.
        dropped: late pictures of this answer that it dropped so far.
        """
        stretch, before_at_s, before_s = (
            self._playheads[-1] if self._playheads else (0, at_s, pts_s)
        )
        jumped = abs((pts_s - before_s) - (at_s - before_at_s)) > JUMP_S
        self._playheads.append((stretch + jumped, at_s, pts_s))
        dropped = min(dropped, len(self._offsets["sent"]))
        METRICS.client_dropped_pictures.inc(max(0, dropped - self._dropped))
        self._dropped = max(self._dropped, dropped)
        if offset_s is not None and math.isfinite(offset_s):
            self._note("shown", offset_s)
            self._points["shown"].append((pts_s, offset_s))

    def _note(self, measured: Measured, offset_s: float) -> None:
        METRICS.av_offset.labels(measured).observe(offset_s)
        self._offsets[measured].append(offset_s)
        recent = self._recent[measured]
        recent.append(offset_s)
        if measured != self.measured:
            return
        now_s = median(recent)
        METRICS.av_offset_now.set(now_s)
        if len(recent) == recent.maxlen and not BEHIND_S <= now_s <= AHEAD_S:
            self._warn(measured, now_s)

    def _warn(self, measured: Measured, offset_s: float) -> None:
        if self._has_warned:
            return
        self._has_warned = True
        METRICS.lips_off.inc()
        leaving_s = median(self._recent["sent"]) if self._recent["sent"] else 0.0
        is_client = measured == "shown" and BEHIND_S <= leaving_s <= AHEAD_S
        log.warning(
            "the lips are off the sound",
            session=self._session,
            turn=self._turn,
            offset_ms=round(1000 * offset_s),
            measured=measured,
            remedy=REMEDIES["client" if is_client else "server"],
        )

    def end(self) -> AvFigures:
        """The answer is over: its figures, which the metrics are told too."""
        measured = self.measured
        offsets = self._offsets[measured]
        figures = AvFigures(
            measured=measured,
            offset_s=median(offsets) if offsets else None,
            drift_s_per_minute=_drift(list(self._points[measured])),
            playhead_drift_s_per_minute=_playhead_drift(list(self._playheads)),
            repeated=self._grid.repeated,
            dropped=self._dropped,
        )
        if figures.drift_s_per_minute is not None:
            METRICS.av_drift.set(figures.drift_s_per_minute)
        if figures.playhead_drift_s_per_minute is not None:
            METRICS.playhead_drift.set(figures.playhead_drift_s_per_minute)
        return figures


REMEDIES = {
    "client": "pictures leave in time: the client shows them late, or not by its playhead "
    "(docs/wire.md, showing pictures)",
    "server": "pictures leave late: draw a smaller face or fewer face.fps, or let the client grant "
    "more credit; `halfsecond bench stages` tells what a picture takes",
}


class _FrameGrid:
    """The moments at which a picture is due, and how many of them found none."""

    def __init__(self) -> None:
        self._frame_s = float("inf")
        self._has_second = False
        self._last: tuple[float, int] | None = None
        """Of the picture before: its `pts`, and the whole frames that it was late."""
        self.repeated = 0

    def place(self, pts_s: float, playhead_s: float) -> tuple[int, int]:
        """How often the picture before was shown again until this one, which leaves now; and how
        many between the two were never drawn.

        How long a frame lasts is told by the pictures' `pts`: an eased face is no repetition.
        """
        before, self._last = self._last, (pts_s, 0)
        if before is None or pts_s <= before[0]:
            return 0, 0
        self._frame_s = min(self._frame_s, pts_s - before[0])
        late = int(max(0.0, playhead_s - pts_s) / self._frame_s + 1e-3)
        self._last = (pts_s, late)
        skipped = round((pts_s - before[0]) / self._frame_s) - 1
        if not self._has_second:  # what was left out before the first one can be told now
            self._has_second = True
            skipped += round(before[0] / self._frame_s)
        repeated = max(0, skipped + late - before[1])
        self.repeated += repeated
        return repeated, skipped


def _drift(points: list[tuple[float, float]]) -> float | None:
    """Seconds a minute of the line through (time, offset); None for a short stretch."""
    if len(points) < 2 or points[-1][0] - points[0][0] < LEAST_S:
        return None
    at, values = np.array(points).T
    first, second = np.triu_indices(len(at), k=1)
    apart = at[second] - at[first]
    slopes = (values[second] - values[first])[apart > 0] / apart[apart > 0]
    return MINUTE_S * float(np.median(slopes)) if len(slopes) else None


def _playhead_drift(playheads: list[tuple[int, float, float]]) -> float | None:
    """Seconds a minute by which playheads gain on the clock, in stretches without a jump."""
    if not playheads:
        return None
    stretch, at, heard = np.array(playheads).T
    first, second = np.triu_indices(len(at), k=1)
    apart = at[second] - at[first]
    is_told = (stretch[first] == stretch[second]) & (apart >= LEAST_APART_S)
    if not np.any(is_told) or float(apart[is_told].max()) < LEAST_S:
        return None
    gained = (heard[second] - heard[first])[is_told] / apart[is_told] - 1.0
    return MINUTE_S * float(np.median(gained))
