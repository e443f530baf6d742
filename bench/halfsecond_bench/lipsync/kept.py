"""What speaking should leave alone: the upper face as it is, the skin around the mouth sharp."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from halfsecond.models.face import points
from halfsecond.models.face.portrait import Portrait
from halfsecond.models.lipsync.driver import Frame

EVERY_FRAMES = 5
MARGIN = 0.10
"""Around the lips, in eye distances: what moves with them is no skin that should be kept."""


class KeptFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Frames beside the portrait, head and eyes still."""

    upper_face_change: float
    """Largest mean difference in brightness, of 255, above the nose."""
    outside_change: float
    """The same outside the face."""
    sharpness: float
    """Median edge of cheeks and chin, as a part of the portrait's; 1 is as sharp."""
    frames: int


class Keeping:
    """Compares every few frames with the portrait."""

    def __init__(self, portrait: Portrait) -> None:
        self._image = portrait.image.astype(np.float32)
        self._upper, self._ring, self._outside = _regions(portrait)
        self._edge = _edges(portrait.image, self._ring)
        self._seen = 0
        self._upper_changes: list[float] = []
        self._outside_changes: list[float] = []
        self._sharpness: list[float] = []

    def watch(self, frame: Frame) -> None:
        """Looks at a frame."""
        self._seen += 1
        if self._seen % EVERY_FRAMES:
            return
        change = np.abs(frame.image - self._image).mean(axis=2)
        self._upper_changes.append(float(change[self._upper].mean()))
        self._outside_changes.append(float(change[self._outside].mean()))
        self._sharpness.append(_edges(frame.image, self._ring) / self._edge)

    def figures(self) -> KeptFigures:
        """Of all frames so far."""
        return KeptFigures(
            upper_face_change=round(max(self._upper_changes, default=0.0), 3),
            outside_change=round(max(self._outside_changes, default=0.0), 3),
            sharpness=round(float(np.median(self._sharpness or [1.0])), 3),
            frames=len(self._sharpness),
        )


def _regions(portrait: Portrait) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Upper face, lower face without the mouth, and everything but the face and its neck."""
    import cv2

    height, width = portrait.image.shape[:2]
    flat, eye = portrait.landmarks[:, :2], portrait.eye_distance_px
    oval: NDArray[np.uint8] = np.zeros((height, width), np.uint8)
    cv2.fillPoly(oval, [np.round(flat[list(points.OVAL)]).astype(np.int32)], (1.0,))
    lips: NDArray[np.uint8] = np.zeros((height, width), np.uint8)
    outline = [*points.UPPER_LIP_OUTER, *points.LOWER_LIP_OUTER[::-1]]
    cv2.fillPoly(lips, [np.round(flat[outline]).astype(np.int32)], (1.0,))
    reach = 2 * int(MARGIN * eye) + 1
    lips = np.asarray(cv2.dilate(lips, np.ones((reach, reach), np.uint8)), np.uint8)
    rows = np.arange(height)[:, None]
    upper = (oval > 0) & (rows < flat[points.NOSE_TIP, 1] - 0.25 * eye)
    ring = (oval > 0) & (rows > flat[points.NOSE_BASE, 1]) & (lips == 0)
    low, high = flat.min(axis=0) - 0.3 * eye, flat.max(axis=0) + 0.3 * eye
    columns = np.arange(width)[None, :]
    near = (columns > low[0]) & (columns < high[0]) & (rows > low[1]) & (rows < high[1] + eye)
    return upper, ring, ~near


def _edges(image: NDArray[np.uint8], region: NDArray[np.bool_]) -> float:
    """Mean steepness of the brightness within a region."""
    import cv2

    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    dx, dy = cv2.Sobel(grey, cv2.CV_32F, 1, 0, ksize=3), cv2.Sobel(grey, cv2.CV_32F, 0, 1, ksize=3)
    return float(np.hypot(dx, dy)[region].mean())
