"""Faces that differ, and pictures that cannot be used, made of the one portrait that is bundled.

No set of faces may be passed on with the project. These are one person's face with another age,
skin, hair and light, by image processing: they try what the drawing depends on (contrast, colour,
shape, glasses, beards), not whether people are recognised.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import lru_cache
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


@lru_cache(maxsize=1)
def sitter(finder: FaceFinder) -> Portrait:
    """The bundled portrait, large."""
    return load_portrait(asset("astronaut.png"), finder, size=SIZE)


@lru_cache(maxsize=1)
def calm(finder: FaceFinder) -> Portrait:
    """The same with closed lips."""
    image = Compositor(sitter(finder)).still(CLOSED)
    return frame_portrait(image, finder, size=SIZE, is_reframed=False)


VARIED: dict[str, Callable[[FaceFinder], Image]] = {
    "smiling": lambda finder: sitter(finder).image,
    "lips closed": lambda finder: calm(finder).image,
    "dark skin": lambda finder: _skin(sitter(finder), light=0.55, red=1.0, yellow=1.15),
    "darker, lips closed": lambda finder: _skin(calm(finder), light=0.42, red=0.9, yellow=1.0),
    "pale": lambda finder: _skin(calm(finder), light=1.12, red=0.7, yellow=0.6),
    "glasses": lambda finder: _glasses(calm(finder)),
    "beard": lambda finder: _beard(calm(finder)),
    "old": lambda finder: _old(sitter(finder)),
    "child": lambda finder: _reshaped(calm(finder), eyes=0.10, jaw=-0.10),
    "broad jaw, moustache": lambda finder: _moustache(
        Portrait(_reshaped(calm(finder), eyes=-0.03, jaw=0.12), calm(finder).landmarks)
    ),
    "lit from one side": lambda finder: _one_side(sitter(finder)),
    "grey, grainy, tilted": lambda finder: _tilted(_grainy(_grey(calm(finder).image)), 10),
}
"""Twelve faces by what is special about them."""


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


def _glasses(portrait: Portrait) -> Image:
    image = np.array(portrait.image)
    eye, flat = portrait.eye_distance_px, portrait.landmarks[:, :2]
    middles = [flat[[33, 133]].mean(axis=0), flat[[362, 263]].mean(axis=0)]
    colour, width = (35, 30, 32), max(2, round(0.025 * eye))
    for x, y in middles:
        size = (int(0.27 * eye), int(0.2 * eye))
        cv2.ellipse(image, (int(x), int(y)), size, 0, 0, 360, colour, width, cv2.LINE_AA)
    (x0, y0), (x1, y1) = middles
    reach = 0.27 * eye
    bridge = (int(x0 + reach), int(y0)), (int(x1 - reach), int(y1))
    cv2.line(image, *bridge, colour, width, cv2.LINE_AA)
    return image


def _hair(portrait: Portrait, mask: NDArray[Any], *, seed: int) -> Image:
    """Short dark hair over the mask: streaks of noise."""
    random = np.random.default_rng(seed)
    noise = random.normal(0, 1, mask.shape).astype(np.float32)
    streaks = cv2.GaussianBlur(noise, (0, 0), 0.8, sigmaY=3.0)
    streaks = np.asarray(streaks, np.float32) / np.float32(streaks.std())
    dark = np.clip(0.42 + 0.16 * streaks, 0.15, 0.9)
    share = np.clip(mask * (0.85 + 0.15 * streaks), 0, 1)
    return _to_bytes(portrait.image * (1 - share * (1 - dark))[..., None])


def _beard(portrait: Portrait) -> Image:
    jaw = (*points.JAW_LINE, 454, 425, 326, 2, 97, 205, 234)
    mask = _mask(portrait, jaw, soft=0.04)
    lips = (*points.UPPER_LIP_OUTER, *points.LOWER_LIP_OUTER[::-1])
    return _hair(
        portrait, mask * (1 - np.clip(1.4 * _mask(portrait, lips, soft=0.015), 0, 1)), seed=1
    )


def _moustache(portrait: Portrait) -> Image:
    above = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 426, 327, 2, 98, 206)
    return _hair(portrait, _mask(portrait, above, soft=0.02), seed=2)


def _old(portrait: Portrait) -> Image:
    """Deeper lines, grey hair."""
    image = portrait.image.astype(np.float32)
    eye = portrait.eye_distance_px
    fine = image - cv2.GaussianBlur(image, (0, 0), 0.03 * eye)
    lined = image + 1.1 * fine * _mask(portrait, points.OVAL, soft=0.06)[..., None]
    flat = portrait.landmarks
    for line in (
        (98, 206, 216),
        (327, 426, 436),
        (33, 35, 31),
        (263, 265, 261),
        (105, 104, 103),
        (334, 333, 332),
    ):
        stroke: Mask = np.zeros(image.shape[:2], np.float32)
        cv2.polylines(stroke, [np.round(flat[list(line), :2]).astype(np.int32)], False, (1.0,), 2)
        lined *= 1 - 0.35 * cv2.GaussianBlur(stroke, (0, 0), 0.012 * eye)[..., None]
    grey = lined.mean(axis=2, keepdims=True) * 1.25 + 30
    y, x = np.mgrid[0 : image.shape[0], 0 : image.shape[1]]
    middle = flat[points.FOREHEAD, :2] + [0.0, 0.35 * eye]
    away = np.hypot((x - middle[0]) / (1.15 * eye), (y - middle[1]) / (1.1 * eye))
    hair = (1 - _skin_mask(portrait)) * np.clip((1.05 - away) / 0.15, 0, 1)
    hair = hair * np.clip((190 - cv2.GaussianBlur(image, (0, 0), 3).mean(axis=2)) / 20, 0, 1)
    return _to_bytes(lined + (grey - lined) * 0.8 * hair[..., None])


def _reshaped(portrait: Portrait, *, eyes: float, jaw: float) -> Image:
    """Eyes larger or smaller, jaw wider or narrower, by parts of their size."""
    eye, flat = portrait.eye_distance_px, portrait.landmarks[:, :2]
    height, width = portrait.image.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    dx, dy = np.zeros_like(x), np.zeros_like(y)
    for pair in ((33, 133), (362, 263)):
        mx, my = flat[list(pair)].mean(axis=0)
        near = np.exp(-((x - mx) ** 2 + (y - my) ** 2) / (2 * (0.24 * eye) ** 2))
        dx, dy = dx - eyes * (x - mx) * near, dy - eyes * (y - my) * near
    mx, my = flat[[61, 291]].mean(axis=0)
    near = np.exp(-(((x - mx) / (0.8 * eye)) ** 2 + ((y - my - 0.1 * eye) / (0.5 * eye)) ** 2))
    dx -= jaw * (x - mx) * near
    return np.asarray(cv2.remap(portrait.image, x + dx, y + dy, cv2.INTER_CUBIC), np.uint8)


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


def seen_from_the_side(portrait: Portrait, *, degrees: float = 75) -> Image:
    """The head turned, as if it were a cylinder."""
    height, width = portrait.image.shape[:2]
    edges = portrait.landmarks[[points.LEFT_EDGE, points.RIGHT_EDGE], 0]
    middle, radius = float(edges.mean()), 0.75 * float(np.ptp(edges))
    x = (np.arange(width) - middle) / radius
    turned = np.arcsin(np.clip(x, -1, 1)) - np.radians(degrees)
    source = np.where(np.abs(x) < 1, np.sin(turned), x) * radius + middle
    at = np.broadcast_to(source.astype(np.float32), (height, width))
    rows = np.broadcast_to(np.arange(height, dtype=np.float32)[:, None], (height, width))
    return np.asarray(cv2.remap(portrait.image, at, rows, cv2.INTER_LINEAR), np.uint8)


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
    "three people": (
        lambda finder: encoded(
            np.hstack([sitter(finder).image[:, ::side] for side in (1, -1, 1)]), ".jpg"
        ),
        r"3 faces found .* crop it",
    ),
    "profile": (
        lambda finder: encoded(seen_from_the_side(sitter(finder)), ".jpg"),
        r"turned away from the camera|no face found",
    ),
    "blurred": (
        lambda finder: encoded(
            _to_bytes(cv2.GaussianBlur(sitter(finder).image, (0, 0), 10)), ".jpg"
        ),
        r"too blurred .* in focus",
    ),
    "dark": (
        lambda finder: encoded(_to_bytes(sitter(finder).image * 0.11), ".png"),
        r"too dark .* light it from the front|no face found",
    ),
    "bright": (
        lambda finder: encoded(_to_bytes(sitter(finder).image * 1.2 + 90), ".png"),
        r"too bright .* expose it less",
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
"""What is wrong: a file, and what is said about it."""
