"""Draws frames of one portrait: a mouth (warped or pasted), then lids, head and breath on top."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.face import points
from halfsecond.models.face.portrait import Portrait
from halfsecond.models.lipsync.expression import Expression
from halfsecond.models.lipsync.eyes import Eyes
from halfsecond.models.lipsync.head import Head
from halfsecond.models.lipsync.mouth import MouthPose
from halfsecond.models.lipsync.mouth_layers import MouthLayers

CHIN_PADDING = 0.08
"""Part of the face's height that the crop for Wav2Lip goes on below the chin."""


class Compositor:
    """Everything about a portrait that does not change from frame to frame, made once.

    Both drivers share it: the mesh driver draws mouth poses, Wav2Lip pastes the patches that its
    network gives. One thread at a time. OpenCV is set to one thread in the whole process.
    """

    def __init__(self, portrait: Portrait, *, expression: Expression | None = None) -> None:
        import cv2

        # Frames are drawn in a few small steps, none of which is worth waking a second core for.
        cv2.setNumThreads(1)
        self.portrait = portrait
        self._expression = expression or Expression(is_on=False)
        self._mouth = MouthLayers(portrait)
        self._eyes = Eyes(portrait)
        self._head = Head(portrait)
        self._face_box = _face_box(portrait)
        self._paste_mask = _paste_mask(portrait, self._face_box)
        self._drawn_pose: MouthPose | None = None
        self._drawn = np.array(portrait.image)

    @property
    def face_box(self) -> tuple[int, int, int, int]:
        """(x0, y0, x1, y1) of the crop that Wav2Lip takes: the face with room for the chin."""
        return self._face_box

    def render_pose(self, pose: MouthPose, t_s: float, *, stress: float = 0.0) -> NDArray[np.uint8]:
        """(h, w, 3) RGB: the portrait with this mouth at `t_s` seconds of the face's own life.

        stress: 0 to 1, how much weight the speech has now; heads nod with it.
        """
        return self._bring_to_life(self.still(pose), t_s, stress)

    def still(self, pose: MouthPose) -> NDArray[np.uint8]:
        """(h, w, 3) RGB: the portrait with this mouth, eyes open, the head where it was."""
        if pose != self._drawn_pose:
            # Drawn in place: nothing outside the lower face ever changes in this picture.
            self._mouth.draw(self._drawn, pose)
            self._drawn_pose = pose
        return np.array(self._drawn)

    def render_patch(self, patch: NDArray[np.uint8], t_s: float) -> NDArray[np.uint8]:
        """(h, w, 3) RGB: the portrait with a drawn lower face, at `t_s` of the face's own life.

        patch: (h, w, 3) RGB of any size; it shows what `face_box` shows. Only its lower face is
        used, through a soft mask.
        """
        import cv2

        x0, y0, x1, y1 = self._face_box
        fitted = cv2.resize(patch, (x1 - x0, y1 - y0), interpolation=cv2.INTER_CUBIC)
        frame: NDArray[np.uint8] = np.array(self.portrait.image)
        below = frame[y0:y1, x0:x1]
        frame[y0:y1, x0:x1] = cv2.blendLinear(
            fitted, below, self._paste_mask, 1.0 - self._paste_mask
        )
        return self._bring_to_life(frame, t_s, 0.0)

    def _bring_to_life(
        self, frame: NDArray[np.uint8], t_s: float, stress: float
    ) -> NDArray[np.uint8]:
        """Lids into `frame`, then head and breath; `frame` is used up."""
        pose = self._expression.at(t_s, stress=stress)
        self._eyes.close(frame, pose.blink)
        return self._head.move(frame, pose) if self._expression.is_on else frame


def _face_box(portrait: Portrait) -> tuple[int, int, int, int]:
    width, height = portrait.size
    flat = portrait.landmarks[:, :2]
    low, high = flat.min(axis=0), flat.max(axis=0)
    chin = high[1] + CHIN_PADDING * (high[1] - low[1])
    return (
        max(0, int(low[0])),
        max(0, int(low[1])),
        min(width, int(np.ceil(high[0]))),
        min(height, int(np.ceil(chin))),
    )


def _paste_mask(portrait: Portrait, box: tuple[int, int, int, int]) -> NDArray[np.float32]:
    """1 on cheeks, mouth and chin, falling softly to 0 beyond the jaw and above the upper lip."""
    import cv2

    x0, y0, x1, y1 = box
    flat = portrait.landmarks[:, :2] - np.array([x0, y0], np.float32)
    eye_distance = portrait.eye_distance_px
    top = flat[points.NOSE_BASE, 1] + 0.05 * eye_distance
    jaw = flat[[*points.JAW_LINE]]
    # A jaw that drops must not meet its own chin: the mask goes on below it.
    lowered = jaw[:, 1] + 0.06 * eye_distance * (jaw[:, 1] > top)
    outline = np.stack([jaw[:, 0], np.maximum(lowered, top)], axis=1)
    mask: NDArray[np.float32] = np.zeros((y1 - y0, x1 - x0), np.float32)
    cv2.fillPoly(mask, [np.round(outline).astype(np.int32)], (1.0,))
    soft = 0.04 * eye_distance
    reach = 2 * int(2.5 * soft) + 1
    kernel = np.ones((reach // 2 | 1, reach // 2 | 1), np.uint8)
    inner = cv2.erode(mask, kernel)
    return np.asarray(cv2.GaussianBlur(inner, (reach, reach), soft), np.float32)
