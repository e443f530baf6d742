"""A driver speaks, and instruments look at every picture of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.face import points
from halfsecond.models.face.aperture import ApertureMeter, mouth_aperture
from halfsecond.models.lipsync.driver import LIPSYNC_RATE_HZ, Frame, LipSync
from halfsecond_bench.lipsync.speech import Speech

FEED_S = 0.4
"""Speech of one call, as the server feeds it."""
LIPS = (*points.UPPER_LIP_OUTER, *points.LOWER_LIP_OUTER[1:-1])

Watch = Callable[[Frame], None]
"""Sees every frame as it is made."""


@dataclass
class Take:
    """What was commanded and what was seen, frame by frame."""

    speech: Speech
    times_s: list[float] = field(default_factory=list)
    commanded: list[float] = field(default_factory=list)
    """`Frame.mouth`."""
    apertures: list[float] = field(default_factory=list)
    """Seen by the face landmarks, in eye distances; NaN where no face was found, or not looked."""
    lips: list[NDArray[np.float32]] = field(default_factory=list)
    """(20, 2) outline of the lips in pixels; NaN likewise."""
    frame_ms: list[float] = field(default_factory=list)
    """Time that each frame took to make."""
    core_ms: list[float] = field(default_factory=list)
    """The same on the processor: what others do on the machine hardly counts."""

    @property
    def at_s(self) -> NDArray[np.float64]:
        """(n,) when each frame is seen first."""
        return np.asarray(self.times_s)

    @property
    def mouth(self) -> NDArray[np.float64]:
        """(n,) commanded openings."""
        return np.asarray(self.commanded)

    @property
    def seen(self) -> NDArray[np.float64]:
        """(n,) apertures."""
        return np.asarray(self.apertures)


def take(
    driver: LipSync,
    speech: Speech,
    meter: ApertureMeter | None,
    *,
    watches: Sequence[Watch] = (),
    looks_at: Callable[[float], bool] = lambda _: True,
) -> Take:
    """The driver says it all, from its first frame to its last.

    meter: None measures times only. looks_at: whether the meter looks at the frame of a time.
    """
    found = Take(speech)
    nothing = np.full((len(LIPS), 2), np.nan, np.float32)
    for frame, took_ms, core_ms in spoken(driver, speech):
        found.times_s.append(frame.pts_s)
        found.commanded.append(frame.mouth)
        found.frame_ms.append(took_ms)
        found.core_ms.append(core_ms)
        for watch in watches:
            watch(frame)
        marks = meter.locate(frame.image) if meter and looks_at(frame.pts_s) else None
        found.apertures.append(float("nan") if marks is None else mouth_aperture(marks))
        found.lips.append(nothing if marks is None else marks[list(LIPS), :2])
    return found


def spoken(driver: LipSync, speech: Speech) -> Iterator[tuple[Frame, float, float]]:
    """Each frame with the milliseconds that it took, by the clock and by the processor's."""
    driver.feel("speaking")
    driver.begin()
    step = int(FEED_S * LIPSYNC_RATE_HZ)
    for start in range(0, len(speech.samples), step):
        # All phonemes go with the first piece: the mouth looks ahead.
        phones = speech.phones if start == 0 else ()
        yield from timed(driver.feed(speech.samples[start : start + step], phones=phones))
    yield from timed(driver.finish())


def timed(frames: Iterator[Frame]) -> Iterator[tuple[Frame, float, float]]:
    """Frames with how long each was waited for, and was worked on by this thread."""
    while True:
        started_s, core_s = time.perf_counter(), time.thread_time()
        frame = next(frames, None)
        if frame is None:
            return
        worked_ms = 1000 * (time.thread_time() - core_s)
        yield frame, 1000 * (time.perf_counter() - started_s), worked_ms
