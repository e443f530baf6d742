"""All of a portrait that does not change from frame to frame, made once, for all its drivers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.face import points
from halfsecond.models.face.portrait import Portrait
from halfsecond.models.lipsync.body import Body
from halfsecond.models.lipsync.eyes import Eyes
from halfsecond.models.lipsync.head import Head
from halfsecond.models.lipsync.mouth_layers import MouthLayers

CHIN_PADDING = 0.08
"""Part of the face's height that the crop for Wav2Lip goes on below the chin."""


@dataclass(frozen=True)
class IdleLoop:
    """The resting face as pictures that lie ready, once through its life, or its body's video."""

    jpegs: tuple[bytes, ...]
    fps: float
    seed: int
    """Of the life that they show."""

    def at(self, t_s: float) -> bytes:
        """The picture at `t_s` seconds of the face's life."""
        return self.jpegs[int(t_s * self.fps + 0.5) % len(self.jpegs)]


@dataclass(frozen=True)
class Avatar:
    """A face that is ready to be drawn; nothing here is written to."""

    portrait: Portrait
    mouth: MouthLayers
    eyes: Eyes
    head: Head
    face_box: tuple[int, int, int, int]
    """(x0, y0, x1, y1) of the crop that Wav2Lip takes: the face with room for the chin."""
    paste_mask: NDArray[np.float32]
    """(h, w) over the face box: what of Wav2Lip's picture is shown, 0 to 1."""
    name: str = ""
    idle: IdleLoop | None = None
    body: Body | None = None
    """A video that the face is drawn into, instead of its own life."""

    @classmethod
    def of(cls, portrait: Portrait) -> Avatar:
        """What can be known of the portrait before it speaks."""
        box = _face_box(portrait)
        return cls(
            portrait=portrait,
            mouth=MouthLayers.of(portrait),
            eyes=Eyes.of(portrait),
            head=Head.of(portrait),
            face_box=box,
            paste_mask=_paste_mask(portrait, box),
        )


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
