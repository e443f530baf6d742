"""Whether a visitor sees when the face goes from one state to the next."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import numpy as np
from numpy.typing import NDArray

from halfsecond.models.lipsync.driver import LIPSYNC_RATE_HZ, LipSync
from halfsecond.models.lipsync.mood import MoodName
from halfsecond_bench.lipsync.speech import Speech

STATES: tuple[tuple[MoodName, float], ...] = (
    ("idle", 3.0), ("listening", 2.0), ("thinking", 1.0), ("speaking", 4.0),
    ("idle", 3.0), ("greeting", 4.0), ("asking", 4.0), ("idle", 3.0),
)  # fmt: skip
"""What a face goes through, and for how long in seconds."""
CHANGE_FRAMES = 2
"""The pictures after a change that a seam would be seen in."""


class SeamFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Differences of consecutive pictures: mean over the face, of 255."""

    largest_at_changes: float
    largest_within: float
    p99_within: float
    changes: int


def seams(driver: LipSync, speech: Speech) -> SeamFigures:
    """What the pictures do as the driver goes through the states, encoded as they are sent."""
    images: list[NDArray[np.uint8]] = []
    changes: list[int] = []
    at = 0
    for mood, seconds in STATES:
        changes.append(len(images))
        driver.feel(mood)
        if mood in ("speaking", "greeting", "asking"):
            stop = at + int(seconds * LIPSYNC_RATE_HZ)
            driver.begin()
            images += [frame.image for frame in driver.feed(speech.samples[at:stop])]
            images += [frame.image for frame in driver.finish()]
            at = stop
        else:
            images += [_resting(driver) for _ in range(int(seconds * driver.fps))]
    steps = np.array([_difference(a, b) for a, b in pairwise(images)])
    is_change = np.zeros(len(steps), bool)
    for change in changes[1:]:
        is_change[max(change - 1, 0) : change - 1 + CHANGE_FRAMES] = True
    return SeamFigures(
        largest_at_changes=round(float(steps[is_change].max()), 3),
        largest_within=round(float(steps[~is_change].max()), 3),
        p99_within=round(float(np.percentile(steps[~is_change], 99)), 3),
        changes=len(changes) - 1,
    )


def _resting(driver: LipSync) -> NDArray[np.uint8]:
    """The next picture of the resting face, as it lies ready or newly drawn."""
    import cv2

    jpeg = driver.idle_jpeg()
    if jpeg is None:
        return driver.idle().image
    picture = np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)
    return picture[:, :, ::-1]


def _difference(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Mean over the middle of the picture, where the face is."""
    height, width = a.shape[:2]
    part = np.s_[height // 8 : -height // 8, width // 6 : -width // 6]
    return float(np.abs(a[part].astype(np.int16) - b[part]).mean())
