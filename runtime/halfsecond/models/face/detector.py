"""MediaPipe's full-range face detector on ONNX Runtime: boxes and six key points of every face."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halfsecond.sessions import Session, open_session

INPUT_PX = 192
"""Side of the square that the full-range model looks at."""
STRIDE_PX = 4
"""One anchor per cell of this size; the model has a single output layer."""
MIN_SCORE = 0.5
"""MediaPipe's own threshold; lower finds faces in patterned curtains."""
OVERLAP = 0.3
"""Boxes that share more than this part of their union are one face (MediaPipe's value)."""
LOGIT_LIMIT = 80.0
"""Keeps exp() of a raw score inside float32."""


@dataclass(frozen=True)
class Detection:
    """A face as the detector sees it, in pixels of the picture."""

    box: tuple[float, float, float, float]
    """(x0, y0, x1, y1): brows to chin, not the whole head."""
    keypoints: NDArray[np.float32]
    """(6, 2): the eye on the left of the picture, the other eye, nose tip, mouth, ears."""
    score: float
    """0 to 1."""


class FaceDetector:
    """Finds every face of a picture in which it is at least a twentieth of the longer side."""

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        self._session: Session = open_session(path, threads=threads)
        self._input = self._session.inputs[0].name
        cells = (np.arange(INPUT_PX // STRIDE_PX, dtype=np.float32) + 0.5) * STRIDE_PX
        y, x = np.meshgrid(cells, cells, indexing="ij")
        self._anchors = np.stack([x.ravel(), y.ravel()], axis=1)

    def detect(self, image: NDArray[np.uint8]) -> list[Detection]:
        """The faces of `image`, (h, w, 3) RGB, best score first."""
        square, scale, offset = _letterbox(image)
        outputs = self._session.run({self._input: square[None]}).values()
        boxes, logits = sorted((np.asarray(o)[0] for o in outputs), key=lambda o: -o.shape[-1])
        scores = _sigmoid(logits[:, 0])
        keep = scores > MIN_SCORE
        points = boxes[keep].reshape(-1, 8, 2).astype(np.float32)
        anchors = self._anchors[keep]
        size = points[:, 1].copy()
        points += anchors[:, None]
        points[:, 1] = points[:, 0] + size / 2
        points[:, 0] -= size / 2
        points = (points - offset) / scale
        return _merge(points, scores[keep])


def _letterbox(
    image: NDArray[np.uint8],
) -> tuple[NDArray[np.float32], float, NDArray[np.float32]]:
    """The picture centred in the model's square in [-1, 1], with the scale and offset used."""
    import cv2

    height, width = image.shape[:2]
    scale = INPUT_PX / max(height, width)
    inner_w, inner_h = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (INPUT_PX - inner_w) // 2, (INPUT_PX - inner_h) // 2
    square: NDArray[np.float32] = np.zeros((INPUT_PX, INPUT_PX, 3), np.float32)
    small = cv2.resize(image, (inner_w, inner_h), interpolation=cv2.INTER_AREA)
    square[top : top + inner_h, left : left + inner_w] = small
    square *= np.float32(1 / 127.5)
    square -= np.float32(1.0)
    return square, scale, np.array([left, top], np.float32)


def _sigmoid(x: NDArray[np.float32]) -> NDArray[np.float32]:
    limited = np.clip(x, -LOGIT_LIMIT, LOGIT_LIMIT)
    return np.asarray(1.0 / (1.0 + np.exp(-limited)), np.float32)


def _merge(points: NDArray[np.float32], scores: NDArray[np.float32]) -> list[Detection]:
    """Overlapping boxes become one face: the mean of them, weighted by score."""
    left = list(np.argsort(-scores))
    found: list[Detection] = []
    while left:
        best = points[left[0]]
        same = [i for i in left if _overlap(best, points[i]) > OVERLAP] or [left[0]]
        weights = scores[same] / scores[same].sum()
        mean = np.tensordot(weights, points[same], axes=1).astype(np.float32)
        (x0, y0), (x1, y1) = mean[0].tolist(), mean[1].tolist()
        found.append(Detection((x0, y0, x1, y1), mean[2:], float(scores[left[0]])))
        left = [i for i in left if i not in same]
    return found


def _overlap(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Intersection over union of two boxes given as corner points."""
    inner = np.minimum(a[1], b[1]) - np.maximum(a[0], b[0])
    if (inner <= 0).any():
        return 0.0
    shared = float(inner.prod())
    union = float((a[1] - a[0]).prod() + (b[1] - b[0]).prod()) - shared
    return shared / union
