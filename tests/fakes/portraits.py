"""Pictures of faces to try: rendered people, the one photo that is bundled, and what is no use.

The people in `tests/faces` do not exist; `tests/faces/README.md` says how they were made. What a
photo has and a rendering has not (grain, compression, a real smile) is tried with the astronaut.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from halfsecond.assets import asset
from halfsecond.errors import PortraitError as PortraitError
from halfsecond.models.face import points
from halfsecond.models.face.aperture import mouth_aperture
from halfsecond.models.face.finder import FaceFinder
from halfsecond.models.face.picture import read_picture
from halfsecond.models.face.portrait import Portrait, frame_portrait, load_portrait
from halfsecond.models.lipsync.compositor import Compositor
from halfsecond.models.lipsync.mouth import CLOSED

Image = NDArray[np.uint8]
Mask = NDArray[np.float32]
SIZE = (768, 768)
FACES = Path(__file__).parents[1] / "faces"


@lru_cache(maxsize=1)
def sitter(finder: FaceFinder) -> Portrait:
    """The bundled portrait, large."""
    return load_portrait(asset("astronaut.png"), finder, size=SIZE)


@lru_cache(maxsize=1)
def calm(finder: FaceFinder) -> Portrait:
    """The same with closed lips."""
    image = Compositor(sitter(finder)).still(CLOSED)
    return frame_portrait(image, finder, size=SIZE, is_reframed=False)


ASTRONAUTS: dict[str, Callable[[FaceFinder], Image]] = {
    "smiling": lambda finder: sitter(finder).image,
    "smiling, dark skin": lambda finder: _skin(sitter(finder), light=0.55, red=1.0, yellow=1.15),
    "lit from one side": lambda finder: _one_side(sitter(finder)),
    "grey, grainy, tilted": lambda finder: _tilted(_grainy(_grey(calm(finder).image)), 10),
}
"""The real photo as it is and made worse, by what is special about it."""


def _mask(portrait: Portrait, indices: tuple[int, ...], *, soft: float) -> Mask:
    """1 inside the polygon, 0 outside; `soft` in eye distances."""
    mask: Mask = np.zeros(portrait.image.shape[:2], np.float32)
    cv2.fillPoly(mask, [np.round(portrait.landmarks[list(indices), :2]).astype(np.int32)], (1.0,))
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), soft * portrait.eye_distance_px), np.float32)


def _skin_mask(portrait: Portrait) -> Mask:
    """What has the colour of the cheeks."""
    lab = cv2.cvtColor(portrait.image, cv2.COLOR_RGB2LAB).astype(np.float32)
    cheek = portrait.landmarks[[50, 280], :2].astype(int)
    mean = np.mean([lab[y, x] for x, y in cheek], axis=0)
    away = ((lab[..., 1:] - mean[1:]) / [9.0, 12.0]) ** 2
    mask = np.exp(-0.5 * away.sum(axis=2)) * (lab[..., 0] > 50)
    face = _mask(portrait, points.OVAL, soft=0.08)
    return np.asarray(cv2.GaussianBlur(np.maximum(mask, face), (0, 0), 2.0), np.float32)


def _skin(portrait: Portrait, *, light: float, red: float, yellow: float) -> Image:
    """Another skin; eyes and teeth stay, and highlights are as much darker as the rest."""
    lab = cv2.cvtColor(portrait.image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    smooth = cv2.GaussianBlur(lab[..., 0], (0, 0), 0.1 * portrait.eye_distance_px)
    lightness = light * smooth + (0.6 + 0.4 * light) * (lab[..., 0] - smooth)
    changed = np.dstack([lightness, lab[..., 1] * red, lab[..., 2] * yellow])
    mask = _skin_mask(portrait)
    inner = (*points.UPPER_LIP_INNER, *points.LOWER_LIP_INNER[::-1])
    left = (*points.LEFT_LID_UPPER, *points.LEFT_LID_LOWER[::-1])
    right = (*points.RIGHT_LID_UPPER, *points.RIGHT_LID_LOWER[::-1])
    is_open = mouth_aperture(portrait.landmarks) > 0.05
    for opening in (inner, left, right) if is_open else (left, right):
        mask = mask * (1 - 0.75 * _mask(portrait, opening, soft=0.008))
    mixed = lab + (changed - lab) * mask[..., None]
    return _to_bytes(cv2.cvtColor(mixed.astype(np.float32), cv2.COLOR_LAB2RGB) * 255)


def _one_side(portrait: Portrait) -> Image:
    x = np.linspace(1.12, 0.42, portrait.image.shape[1])[None, :, None]
    return _to_bytes(portrait.image * x * np.array([1.05, 1.0, 0.88]))


def _grey(image: Image) -> Image:
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    return np.asarray(np.repeat(grey[..., None], 3, axis=2), np.uint8)


def _grainy(image: Image) -> Image:
    noise = np.random.default_rng(4).normal(0, 6, image.shape[:2])[..., None]
    return _to_bytes(image + noise)


def _tilted(image: Image, degrees: float) -> Image:
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    return np.asarray(
        cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


def _to_bytes(values: NDArray[Any]) -> Image:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


# Pictures that cannot be used.


def with_hand(portrait: Portrait) -> Image:
    """Fingers of the sitter's own skin before the mouth."""
    eye, flat = portrait.eye_distance_px, portrait.landmarks[:, :2]
    mouth = flat[[61, 291]].mean(axis=0)
    hand: Mask = np.zeros(portrait.image.shape[:2], np.float32)
    edges = np.zeros_like(hand)
    for finger in range(4):
        y = mouth[1] + (finger - 1.3) * 0.19 * eye
        start, end = (
            (int(mouth[0] - 0.75 * eye), int(y + 0.12 * eye)),
            (int(mouth[0] + 0.5 * eye), int(y - 0.10 * eye)),
        )
        cv2.line(hand, start, end, (1.0,), int(0.20 * eye), cv2.LINE_AA)
        below = (start[0], start[1] + int(0.1 * eye)), (end[0], end[1] + int(0.1 * eye))
        cv2.line(edges, *below, (1.0,), max(1, int(0.012 * eye)), cv2.LINE_AA)
    forehead = (flat[points.FOREHEAD] + np.array([0, 0.28 * eye])).astype(int)
    patch = portrait.image[forehead[1] - 12 : forehead[1] + 12, forehead[0] - 30 : forehead[0] + 30]
    height, width = hand.shape
    skin = cv2.resize(patch, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    skin *= 1 - 0.30 * cv2.GaussianBlur(edges, (0, 0), 0.01 * eye)[..., None]
    share = cv2.GaussianBlur(hand, (0, 0), 1.0)[..., None]
    return _to_bytes(portrait.image + (skin - portrait.image) * share)


def with_mask(portrait: Portrait) -> Image:
    """A surgical mask from the nose to the chin."""
    below = (*points.JAW_LINE, 454, 4, 234)
    share = _mask(portrait, below, soft=0.01)[..., None]
    cloth = (
        np.array([150, 185, 205], np.float32) * np.linspace(1.05, 0.85, len(share))[:, None, None]
    )
    return _to_bytes(portrait.image + (cloth - portrait.image) * share)


def head_and_shoulders(portrait: Portrait) -> NDArray[np.bool_]:
    """(h, w) a rough outline of the sitter."""
    eye, (x, y) = portrait.eye_distance_px, portrait.landmarks[points.NOSE_TIP, :2]
    rows, columns = np.mgrid[0 : portrait.image.shape[0], 0 : portrait.image.shape[1]]
    head = np.hypot((columns - x) / (1.1 * eye), (rows - y + 0.2 * eye) / (1.4 * eye)) < 1
    body = (rows > y + 0.9 * eye) & (np.abs(columns - x) < 1.9 * eye)
    return np.asarray(head | body)


def encoded(image: NDArray[Any], kind: str, *, is_bgr: bool = False) -> bytes:
    """A file of that ending."""
    is_written, data = cv2.imencode(kind, image if is_bgr else image[..., ::-1])
    assert is_written
    return bytes(data.tobytes())


def by_pillow(image: Image, kind: str, *, mode: str = "RGB") -> bytes:
    """A file of a kind or colour that OpenCV does not write."""
    from PIL import Image as Pillow

    file = io.BytesIO()
    Pillow.fromarray(image).convert(mode).save(file, kind, quality=95)
    return file.getvalue()


BAD: dict[str, tuple[Callable[[FaceFinder], bytes], str]] = {
    "no face": (
        lambda finder: encoded(read_picture(asset("astronaut.png")).image[150:, 300:], ".png"),
        r"no face found",
    ),
    "small": (
        lambda finder: encoded(cv2.resize(sitter(finder).image, (180, 180)), ".png"),
        r"too small: 4\d px .* at least 50",
    ),
    "40 px wide": (
        lambda finder: encoded(cv2.resize(sitter(finder).image, (40, 40)), ".png"),
        r"too small|no face found",
    ),
    "hand": (
        lambda finder: encoded(with_hand(calm(finder)), ".jpg"),
        r"no lips can be seen .* hand",
    ),
    "mask": (
        lambda finder: encoded(with_mask(calm(finder)), ".jpg"),
        r"no lips can be seen .* mask",
    ),
    "GIF": (lambda finder: by_pillow(sitter(finder).image, "GIF"), r"is a GIF, .* as JPEG or PNG"),
    "truncated": (
        lambda finder: encoded(sitter(finder).image, ".jpg")[:-20_000],
        r"ends in the middle .* get the file again",
    ),
}
"""What is wrong with the file or with the astronaut: a file, and what is said about it."""

RENDERED = {path.stem: path for path in sorted((FACES / "good").glob("*.jpg"))}
"""Twelve people by name."""
RENDERED_BAD = {
    "hand": r"no face found .* not covered",
    "hand-kofi": r"no lips can be seen .* hand",
    "hand-rosa": r"no lips can be seen .* hand",
    "mask": r"no lips can be seen .* mask",
    "walrus": r"no lips can be seen .* moustache",
    "profile-60": r"turned away from the camera",
    "profile-90": r"no face found",
    "from-behind": r"no face found",
    "lying": r"no face found .* upright",
    "bent-down": r"no face found .* looks into the camera",
    "three-people": r"3 faces found .* crop it",
    "far-away": r"too small: 1\d px .* at least 50",
    "blurred": r"too blurred .* in focus",
    "dark": r"too dark .* light it from the front",
    "glaring": r"too bright .* expose it less",
}
"""Pictures of them that cannot be used, and what is said about each."""
