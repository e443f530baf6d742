"""A driver speaks, and instruments look at every picture of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.face import points
from halfsecond.models.face.aperture import mouth_aperture
from halfsecond.models.face.finder import MIN_CONFIDENCE
from halfsecond.models.face.landmarks import FaceLandmarker
from halfsecond.models.face.portrait import Portrait
from halfsecond.models.lipsync.driver import LIPSYNC_RATE_HZ, Frame, LipSync
from halfsecond_bench.lipsync.speech import Speech

FEED_S = 0.4
"""Speech of one call, as the server feeds it."""
LIPS = (*points.UPPER_LIP_OUTER, *points.LOWER_LIP_OUTER[1:-1])

Watch = Callable[[Frame], None]
"""Sees every frame as it is made."""
Marks = NDArray[np.float32]


class Landmarks(Protocol):
    """Finds the landmarks of the face on a picture: `ApertureMeter`, `StillMeter`."""

    def locate(self, image: NDArray[np.uint8]) -> Marks | None:
        """(468, 3), or None where no face is seen."""
        ...


class StillMeter:
    """Looks at the same part of every picture, where a head that keeps still has its face.

    A meter that follows the face starts from the picture before, and its own noise makes a face
    that does not move at all wander by up to a pixel.
    """

    def __init__(self, landmarks: Path, portrait: Portrait, *, threads: int = 1) -> None:
        self._landmarker = FaceLandmarker(landmarks, threads=threads)
        flat = portrait.landmarks[:, :2]
        eyes = flat[[points.LEFT_EYE_OUTER, points.RIGHT_EYE_OUTER]]
        self._outline = np.concatenate([eyes, flat]).astype(np.float32)

    def locate(self, image: NDArray[np.uint8]) -> Marks | None:
        """The landmarks, or None where the model says that this is no face."""
        found, confidence = self._landmarker.locate(image, self._outline, runs=1)
        return found if confidence >= MIN_CONFIDENCE else None


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
    rest_aperture: float = 0.0
    """Seen of the closed mouth before the first word."""
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
    meter: Landmarks | None,
    *,
    watches: Sequence[Watch] = (),
    looks_at: Callable[[float], bool] = lambda _: True,
) -> Take:
    """The driver says it all, from its first frame to its last.

    meter: None measures times only. looks_at: whether the meter looks at the frame of a time.
    """
    found = Take(speech)
    if meter is not None and (resting := meter.locate(driver.idle().image)) is not None:
        found.rest_aperture = mouth_aperture(resting)
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
