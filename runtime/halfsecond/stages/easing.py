"""How much of the face is drawn on a hot machine: less often and smaller, before it stutters.

The sound and the words are never touched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from halfsecond.metrics import METRICS
from halfsecond.thermal import Zone, hottest
from halfsecond.timeline import Now, monotonic

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Ease:
    """Shares of the config's pictures a second, and of their width and height."""

    fps: float
    size: float

    def fps_of(self, fps: int) -> int:
        """Pictures a second, at least 5."""
        return max(5, round(fps * self.fps))


STEPS = (Ease(1.0, 1.0), Ease(0.6, 1.0), Ease(0.6, 0.75), Ease(0.4, 0.5))
"""At 25 pictures of 512 × 512: 25, 15, 15 of 384 × 384, and 10 of 256 × 256.
At 30: 30, 18, 18 and 12."""

INTERVAL_S = 2.0
SETTLES_S = 20.0
"""What a step does shows in the temperature only after this long; until then none is added."""
CALM_S = 60.0
"""A step is taken back after the machine was cool for this long: what heated it may come again."""
COOL_C = 6.0
"""It counts as cool this far beyond the margin: else a step would be taken and undone in turns."""


class Easing:
    """Which of `STEPS` holds. Read from the face's thread, set from the event loop's."""

    def __init__(self, margin_c: float = 8.0) -> None:
        """margin_c: the first step is taken this far below the machine's own limit."""
        self._margin_c = margin_c
        self._level = 0
        self._changed_s = float("-inf")
        self._cool_since_s: float | None = None

    @property
    def level(self) -> int:
        return self._level

    @property
    def ease(self) -> Ease:
        return STEPS[self._level]

    def observe(self, headroom_c: float, at_s: float) -> bool:
        """Takes a reading; True when another step holds now."""
        if headroom_c < self._margin_c:
            self._cool_since_s = None
            may_go = self._level < len(STEPS) - 1 and at_s - self._changed_s >= SETTLES_S
            return may_go and self._go(self._level + 1, at_s)
        if headroom_c < self._margin_c + COOL_C or self._level == 0:
            self._cool_since_s = None
            return False
        if self._cool_since_s is None:
            self._cool_since_s = at_s
        return at_s - self._cool_since_s >= CALM_S and self._go(self._level - 1, at_s)

    def _go(self, level: int, at_s: float) -> bool:
        self._level, self._changed_s, self._cool_since_s = level, at_s, None
        return True


async def watch_temperature(
    easing: Easing, read: Callable[[], list[Zone]], *, now: Now = monotonic
) -> None:
    """Keeps `easing` and its metrics up to date until cancelled; ends where there is no sensor."""
    while (zone := hottest(await asyncio.to_thread(read))) is not None:
        METRICS.thermal_headroom_c.set(zone.headroom_c)
        if easing.observe(zone.headroom_c, now()):
            METRICS.thermal_level.set(easing.level)
            _tell(easing.level, zone)
        await asyncio.sleep(INTERVAL_S)


def _tell(level: int, zone: Zone) -> None:
    log.warning(
        "the face is eased" if level else "the face is drawn in full again",
        level=level,
        of=len(STEPS) - 1,
        zone=zone.name,
        temperature_c=round(zone.temperature_c),
        limit_c=round(zone.limit_c),
    )
