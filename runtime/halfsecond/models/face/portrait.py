"""A picture becomes a portrait: framed around the one face it shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.face import points
from halfsecond.models.face.aperture import mouth_aperture
from halfsecond.models.face.finder import Face, FaceFinder
from halfsecond.models.face.picture import BACKDROP, read_picture
from halfsecond.models.face.suitability import check_faces

DEFAULT_SIZE = (512, 512)
OPEN_MOUTH_GAP = 0.07
"""Wider gaps, in eye distances, are closed by more warping than goes unseen."""
EYES_ACROSS = 0.235
"""Eye distance as a part of the frame's shorter side: head and shoulders."""
EYES_DOWN = 0.42
"""Where the eyes are, as a part of the frame's height."""

Fit: TypeAlias = Literal["crop", "pad"]
"""What becomes of a picture that is narrower or lower than the frame: less of it is shown, or what
is at its edge goes on, out of focus."""


@dataclass(frozen=True)
class Portrait:
    """The framed picture and the face in it; what every driver draws from."""

    image: NDArray[np.uint8]
    """(h, w, 3) RGB at the size of the frames; not written to."""
    landmarks: NDArray[np.float32]
    """(468, 3) pixels of `image`."""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.image.shape[1], self.image.shape[0]

    @property
    def eye_distance_px(self) -> float:
        """Distance of the outer eye corners."""
        return Face(self.landmarks, 1.0, 1.0).eye_distance_px

    @property
    def advice(self) -> str:
        """What another picture would do better; empty where this one is as good as any."""
        gap = mouth_aperture(self.landmarks)
        if gap <= OPEN_MOUTH_GAP:
            return ""
        return (
            f"the mouth is open (the lips are {gap:.2f} eye distances apart); it will be closed, "
            "but a picture with closed lips looks more natural"
        )


def load_portrait(
    picture: Path,
    finder: FaceFinder,
    *,
    size: tuple[int, int] = DEFAULT_SIZE,
    is_reframed: bool = True,
    fit: Fit = "crop",
    is_mirrored: bool = False,
    backdrop: tuple[int, int, int] | NDArray[np.uint8] = BACKDROP,
) -> Portrait:
    """The portrait that the file holds.

    size: (width, height) of the frames in pixels.
    is_reframed: False keeps as much of the picture as fits the size's proportions.
    backdrop: RGB, or a picture, behind a picture that is transparent in parts.

    Raises:
        PortraitError: it is no picture, or not one of exactly one usable face.
    """
    image = read_picture(picture).on(backdrop)
    if is_mirrored:
        image = np.ascontiguousarray(image[:, ::-1])
    return frame_portrait(image, finder, size=size, is_reframed=is_reframed, fit=fit)


def frame_portrait(
    image: NDArray[np.uint8],
    finder: FaceFinder,
    *,
    size: tuple[int, int] = DEFAULT_SIZE,
    is_reframed: bool = True,
    fit: Fit = "crop",
) -> Portrait:
    """As `load_portrait`, from (h, w, 3) RGB pixels."""
    face = check_faces(finder.find_faces(image), image)
    crop = crop_box(image, face, size, is_reframed=is_reframed, fit=fit)
    framed = resize_crop(image, crop, size)
    x0, y0, x1, _ = crop
    scale = size[0] / (x1 - x0)
    moved = (face.landmarks - np.array([x0, y0, 0.0], np.float32)) * np.float32(scale)
    again = [f for f in finder.find_faces(framed) if _is_same(f.landmarks, moved)]
    return Portrait(framed, again[0].landmarks if again else moved.astype(np.float32))


def crop_box(
    image: NDArray[np.uint8],
    face: Face,
    size: tuple[int, int],
    *,
    is_reframed: bool,
    fit: Fit,
) -> tuple[float, float, float, float]:
    """(x0, y0, x1, y1) of the part of the picture that becomes the frame.

    It lies inside the picture, unless `fit` is "pad", which keeps head and shoulders whole.
    """
    width, height = image.shape[1], image.shape[0]
    inside = min(width, height * size[0] / size[1])
    wanted = face.eye_distance_px / EYES_ACROSS * size[0] / min(size)
    if fit == "pad":
        around = max(width, height * size[0] / size[1])
        crop_w = min(around, wanted) if is_reframed else around
    else:
        crop_w = min(inside, wanted) if is_reframed else inside
    crop_h = crop_w * size[1] / size[0]
    eyes = face.landmarks[[points.LEFT_EYE_OUTER, points.RIGHT_EYE_OUTER], :2].mean(axis=0)
    x0 = _placed(float(eyes[0]) - crop_w / 2, crop_w, width)
    y0 = _placed(float(eyes[1]) - crop_h * EYES_DOWN, crop_h, height)
    return x0, y0, x0 + crop_w, y0 + crop_h


def _placed(start: float, length: float, limit: float) -> float:
    """A stretch moved into the picture; one that is longer than it, around it."""
    low, high = sorted((0.0, limit - length))
    return min(max(start, low), high)


def resize_crop(
    image: NDArray[np.uint8], crop: tuple[float, float, float, float], size: tuple[int, int]
) -> NDArray[np.uint8]:
    """The crop at `size`; enlarged ones get back a little of the edge that enlarging costs."""
    import cv2

    image, crop = _cut(image, crop)
    x0, y0, x1, _ = crop
    scale = size[0] / (x1 - x0)
    rows, columns = slice(int(y0), int(y0) + size[1]), slice(int(x0), int(x0) + size[0])
    if scale == 1.0 and x0 % 1 == 0.0 and y0 % 1 == 0.0 and min(x0, y0) >= 0.0:
        whole = image[rows, columns]
        if whole.shape[:2] == size[::-1]:
            return np.ascontiguousarray(whole)
    if scale < 1:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), 0.4 / scale), np.uint8)
    # Pixel centres: frame (0, 0) lies half a frame pixel inside the crop's corner.
    shift = 0.5 / scale - 0.5
    to_image = np.array([[1 / scale, 0, x0 + shift], [0, 1 / scale, y0 + shift]], np.float64)
    framed = cv2.warpAffine(
        image,
        to_image,
        size,
        flags=cv2.INTER_LANCZOS4 | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if scale > 1.2:
        soft = cv2.GaussianBlur(framed, (0, 0), 0.6 * scale)
        framed = cv2.addWeighted(framed, 1.35, soft, -0.35, 0)
    return _softened_outside(np.asarray(framed, np.uint8), image, to_image)


def _cut(
    image: NDArray[np.uint8], crop: tuple[float, float, float, float]
) -> tuple[NDArray[np.uint8], tuple[float, float, float, float]]:
    """The picture without what is far from the crop (8K would be filtered whole), and the crop in
    it."""
    x0, y0, x1, y1 = crop
    reach = 0.1 * (x1 - x0)
    left, top = (max(0, int(low - reach)) for low in (x0, y0))
    part = image[top : int(y1 + reach) + 1, left : int(x1 + reach) + 1]
    return part, (x0 - left, y0 - top, x1 - left, y1 - top)


def _softened_outside(
    framed: NDArray[np.uint8], image: NDArray[np.uint8], to_image: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """What lies beyond the picture's edge goes on out of focus, instead of as streaks."""
    import cv2

    height, width = framed.shape[:2]
    inside = cv2.warpAffine(
        np.full(image.shape[:2], 255, np.uint8),
        to_image,
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
    )
    if inside.min() == 255:
        return framed
    reach = 0.06 * min(width, height)
    soft = cv2.GaussianBlur(framed, (0, 0), reach).astype(np.float32)
    away = cv2.distanceTransform((inside < 255).astype(np.uint8), cv2.DIST_L2, 3)
    share = np.clip(away / reach, 0.0, 1.0)[..., None]
    return np.asarray(np.rint(framed + (soft - framed) * share), np.uint8)


def _is_same(a: NDArray[np.float32], b: NDArray[np.float32]) -> bool:
    """True where two meshes lie on the same face."""
    span = float(np.hypot(*(b[points.RIGHT_EYE_OUTER, :2] - b[points.LEFT_EYE_OUTER, :2])))
    return float(np.abs(a[:, :2] - b[:, :2]).mean()) < 0.3 * span
