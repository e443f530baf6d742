"""A short video as the body: it plays to and fro, and the lower face is drawn into every frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.face import points
from halfsecond.models.face.portrait import Portrait

CHIN_ROOM = 0.30
"""What is drawn goes on this far below the chin, in eye distances: a jaw that drops moves it."""
SOFT = 0.055
"""Half the width of the edge between what is drawn and the video, in eye distances."""


@dataclass(frozen=True)
class Body:
    """The frames of a video, and where the portrait's face lies in each."""

    jpegs: tuple[bytes, ...]
    placements: tuple[tuple[float, ...], ...]
    """For each frame the affine (2, 3) that takes the portrait to it, row by row."""
    fps: float

    @property
    def period_s(self) -> float:
        """Once to and fro."""
        return max(1, 2 * (len(self.jpegs) - 1)) / self.fps

    def index(self, t_s: float) -> int:
        """Which frame is shown at `t_s`: at its end the video turns back."""
        last = len(self.jpegs) - 1
        if last == 0:
            return 0
        step = int(t_s * self.fps + 0.5) % (2 * last)
        return step if step <= last else 2 * last - step

    def placement(self, index: int) -> NDArray[np.float64]:
        """(2, 3) of one frame."""
        return np.array(self.placements[index], np.float64).reshape(2, 3)


class BodyPainter:
    """Draws lower faces of one portrait into the frames of its body. One thread at a time."""

    def __init__(self, body: Body, portrait: Portrait) -> None:
        self._body = body
        self._cover = _cover(portrait)
        rows, columns = (np.flatnonzero(self._cover.any(axis=axis)) for axis in (1, 0))
        self._corners = np.array(
            [[x, y, 1.0] for x in columns[[0, -1]] for y in rows[[0, -1]]], np.float64
        )
        self._decoded: tuple[int, NDArray[np.uint8]] = (-1, portrait.image)

    def paint(self, face: NDArray[np.uint8], t_s: float) -> NDArray[np.uint8]:
        """(h, w, 3) RGB: the frame of the video at `t_s` with the lower face of `face`."""
        import cv2

        index = self._body.index(t_s)
        frame = np.array(self._frame(index))
        placement = self._body.placement(index)
        reached = self._corners @ placement.T
        height, width = frame.shape[:2]
        x0, y0 = np.clip(np.floor(reached.min(axis=0)), 0, [width - 1, height - 1]).astype(int)
        x1, y1 = np.clip(np.ceil(reached.max(axis=0)) + 1, 1, [width, height]).astype(int)
        placement[:, 2] -= [x0, y0]
        size = (int(x1 - x0), int(y1 - y0))
        mode = cv2.BORDER_REPLICATE
        drawn = cv2.warpAffine(face, placement, size, flags=cv2.INTER_LINEAR, borderMode=mode)
        cover = cv2.warpAffine(self._cover, placement, size, flags=cv2.INTER_LINEAR)
        part = frame[y0:y1, x0:x1]
        part[...] = cv2.blendLinear(drawn, np.ascontiguousarray(part), cover, 1.0 - cover)
        return frame

    def _frame(self, index: int) -> NDArray[np.uint8]:
        import cv2

        if self._decoded[0] != index:
            data = np.frombuffer(self._body.jpegs[index], np.uint8)
            bgr = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
            self._decoded = (index, bgr[:, :, ::-1])
        return self._decoded[1]


def _cover(portrait: Portrait) -> NDArray[np.float32]:
    """(h, w) 1 on mouth, cheeks and chin, falling softly to 0 around them."""
    import cv2

    flat, eye = portrait.landmarks[:, :2], portrait.eye_distance_px
    top = float(flat[points.NOSE_BASE, 1])
    jaw = flat[list(points.JAW_LINE)]
    middle_x = float(jaw[:, 0].mean())
    x = middle_x + 0.94 * (jaw[:, 0] - middle_x)
    # Towards the ears nothing moves: the room below grows with the nearness of the chin.
    low = np.clip((jaw[:, 1] - top) / max(float(jaw[:, 1].max()) - top, 1.0), 0.0, 1.0)
    outline = np.stack([x, np.maximum(jaw[:, 1] + CHIN_ROOM * eye * low**2, top)], axis=1)
    cover: NDArray[np.float32] = np.zeros(portrait.image.shape[:2], np.float32)
    cv2.fillPoly(cover, [np.round(outline).astype(np.int32)], (1.0,))
    reach = 2 * int(2.0 * SOFT * eye) + 1
    inner = cv2.erode(cover, np.ones((reach // 2 | 1, reach // 2 | 1), np.uint8))
    return np.asarray(cv2.GaussianBlur(inner, (0, 0), SOFT * eye), np.float32)
