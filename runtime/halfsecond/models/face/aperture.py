"""How far a mouth is open, measured on the picture itself."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.face import points
from halfsecond.models.face.finder import FaceFinder
from halfsecond.models.face.landmarks import FaceLandmarker


def mouth_aperture(landmarks: NDArray[np.float32]) -> float:
    """Gap of the inner lips in eye distances (outer corners): 0 closed, about 0.3 wide open.

    The mean over the middle half of the mouth, across the line of the eyes, so that a tilted
    head and a single stray point change little.
    """
    flat = landmarks[:, :2]
    eyes = flat[points.RIGHT_EYE_OUTER] - flat[points.LEFT_EYE_OUTER]
    length = float(np.hypot(*eyes))
    down = np.array([-eyes[1], eyes[0]]) / length
    upper, lower = (flat[list(side)] for side in zip(*points.INNER_GAP, strict=True))
    return max(0.0, float(((lower - upper) @ down).mean()) / length)


class ApertureMeter:
    """Measures the mouth of every frame of one face; follows it as it moves."""

    def __init__(self, detector: Path, landmarks: Path, *, threads: int = 1) -> None:
        self._finder = FaceFinder(detector, landmarks, threads=threads)
        self._landmarker = FaceLandmarker(landmarks, threads=threads)
        self._last: NDArray[np.float32] | None = None

    def measure(self, image: NDArray[np.uint8]) -> float:
        """Aperture of the face in `image`, (h, w, 3) RGB, in eye distances; NaN without a face."""
        found = self.locate(image)
        return float("nan") if found is None else mouth_aperture(found)

    def locate(self, image: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """(468, 3) landmarks of the face in `image`, as `FaceLandmarker` gives them; or None."""
        if self._last is None:
            faces = self._finder.find_faces(image)
            if not faces:
                return None
            self._last = faces[0].landmarks
        flat = self._last[:, :2]
        eyes = flat[[points.LEFT_EYE_OUTER, points.RIGHT_EYE_OUTER]]
        # One run on the crop of the frame before: half the cost, and less jitter than two.
        found, confidence = self._landmarker.locate(image, np.concatenate([eyes, flat]), runs=1)
        self._last = found if confidence >= 0.5 else None
        return self._last

    def measure_all(self, images: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """(n,) apertures of frames in order."""
        return np.array([self.measure(image) for image in images], np.float32)
