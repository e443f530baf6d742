"""MediaPipe's 468-point face mesh on ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.face import points
from halfsecond.sessions import Session, open_session

INPUT_PX = 192
CROP_SCALE = 1.5
"""The model was trained on squares half as large again as the face."""


class FaceLandmarker:
    """468 points (x, y, depth) of one face whose place is roughly known."""

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        self._session: Session = open_session(path, threads=threads)
        self._input = self._session.inputs[0].name

    def locate(
        self, image: NDArray[np.uint8], outline: NDArray[np.float32], *, runs: int = 2
    ) -> tuple[NDArray[np.float32], float]:
        """The points of the face, and how sure the model is that this is one (0 to 1).

        image: (h, w, 3) RGB. outline: (n, 2) points around the face, of which the first two are
        the eye on the left and the eye on the right of the picture.
        runs: each further run looks at the crop that the points of the run before give.

        Returns (468, 3) float32 in pixels; depth has the scale of x, smaller is nearer.
        """
        found, confidence = self._run(image, *_square(outline, outline[0], outline[1]))
        for _ in range(runs - 1):
            flat = found[:, :2]
            left, right = flat[points.LEFT_EYE_OUTER], flat[points.RIGHT_EYE_OUTER]
            found, confidence = self._run(image, *_square(flat, left, right))
        return found, confidence

    def _run(
        self, image: NDArray[np.uint8], centre: NDArray[np.float32], side: float, angle: float
    ) -> tuple[NDArray[np.float32], float]:
        import cv2

        scale = side / INPUT_PX
        cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
        half = INPUT_PX / 2
        turn = np.array([[cos, -sin], [sin, cos]], np.float32)
        to_image = np.hstack([turn, (centre - turn @ np.array([half, half], np.float32))[:, None]])
        if scale > 1.5:  # only what is looked at: a picture may have 33 million pixels
            image, corner = _around(image, centre, side)
            image = np.asarray(cv2.GaussianBlur(image, (0, 0), 0.35 * scale), np.uint8)
            to_image[:, 2] -= corner
        else:
            corner = np.zeros(2, np.float32)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        crop = cv2.warpAffine(image, to_image, (INPUT_PX, INPUT_PX), flags=flags)
        given = {self._input: crop[None].astype(np.float32) / 255.0}
        outputs = list(self._session.run(given).values())
        mesh, flag = sorted((np.asarray(o).ravel() for o in outputs[:2]), key=lambda o: -o.size)
        local = mesh.reshape(468, 3).astype(np.float32)
        found = np.empty_like(local)
        found[:, :2] = local[:, :2] @ turn.T + to_image[:, 2] + corner
        found[:, 2] = local[:, 2] * scale
        return found, float(1.0 / (1.0 + np.exp(-float(flag[0]))))


def _around(
    image: NDArray[np.uint8], centre: NDArray[np.float32], side: float
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The part of the picture that a turned square of `side` can reach, and its corner."""
    height, width = image.shape[:2]
    low = (centre - 0.8 * side).astype(int)
    x0, y0 = min(max(0, int(low[0])), width - 1), min(max(0, int(low[1])), height - 1)
    reach = int(1.6 * side) + 2
    return image[y0 : y0 + reach, x0 : x0 + reach], np.array([x0, y0], np.float32)


def _square(
    outline: NDArray[np.float32], left: NDArray[np.float32], right: NDArray[np.float32]
) -> tuple[NDArray[np.float32], float, float]:
    """Centre, side and angle of the upright square that the model wants around `outline`."""
    angle = float(np.arctan2(right[1] - left[1], right[0] - left[0]))
    low, high = outline.min(axis=0), outline.max(axis=0)
    side = float((high - low).max()) * CROP_SCALE
    return ((low + high) / 2).astype(np.float32), side, angle
