"""Eyes that blink and look: lids at several heights, rendered once per portrait, and irises that
move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.face import points
from halfsecond.models.face.portrait import Portrait
from halfsecond.models.lipsync.snap import best_path
from halfsecond.models.lipsync.warp import sample, smooth_step

Array = NDArray[np.floating]

STAGES = 10
"""A blink lasts some seven frames: more stages than these are not told apart."""
SKIN_ABOVE = 0.14
"""Height of the lid skin that unfolds over the eye, in eye distances; less under low brows."""
LASHES = (0.012, 0.026, 0.055)
"""Least, usual and greatest height of the lashes above the lid's edge, in eye distances."""
GRAIN_BELOW = 0.30
"""Where the grain of lid skin is taken from: the cheek, this many eye distances below."""
BRIDGE_EDGE = 4.5
"""Steepest change of brightness down the bridge of the nose, in mean brightnesses per eye distance:
bare noses of five portraits have 1.1 to 2.9, dark rims 8.8 to 31."""
FLOOR_BELOW = 0.018
"""The lower lid's edge below its landmarks, in eye distances."""
LEAST_LOOK_PX = 0.1
IRIS_EDGE = 0.034
"""Irises move as one up to this near the lids, in eye distances; beyond, they give way."""
SOFT_PX = 0.9
"""Half the width of the edge between lid and eye."""


@dataclass(frozen=True)
class Eye:
    """One eye with its lid at several heights."""

    x0: int
    y0: int
    iris: NDArray[np.float32]
    """(h, w) how much of a look each pixel of its window goes along with, 0 to 1."""
    stages: NDArray[np.uint8]
    """(STAGES, h, w, 3) what its window in the picture shows, or none behind glasses."""

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the picture."""
        height, width = self.iris.shape
        return slice(self.y0, self.y0 + height), slice(self.x0, self.x0 + width)


@dataclass(frozen=True)
class Eyes:
    """Both eyes of one portrait. Behind glasses they stay open: lids would drag the rims along."""

    eyes: tuple[Eye, ...]
    eye_distance_px: float

    @classmethod
    def of(cls, portrait: Portrait) -> Eyes:
        """The eyes of the portrait, by its landmarks."""
        left = (points.LEFT_LID_UPPER, points.LEFT_LID_LOWER, points.LEFT_BROW)
        right = (points.RIGHT_LID_UPPER, points.RIGHT_LID_LOWER, points.RIGHT_BROW)
        has_lids = not wears_glasses(portrait)
        eyes = tuple(_render(portrait, *side, has_lids=has_lids) for side in (left, right))
        return cls(eyes, portrait.eye_distance_px)

    def look(self, frame: NDArray[np.uint8], x: float, y: float) -> None:
        """Moves the irises in `frame`, (h, w, 3) RGB, by so many eye distances."""
        shift = np.array([x, y], np.float32) * np.float32(self.eye_distance_px)
        if float(np.abs(shift).max()) < LEAST_LOOK_PX:
            return
        for eye in self.eyes:
            part = frame[eye.window]
            rows, columns = eye.iris.shape
            at = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1)
            part[...] = sample(np.ascontiguousarray(part), at - eye.iris[..., None] * shift)

    def close(self, frame: NDArray[np.uint8], blink: float) -> None:
        """Draws the lids at `blink`, 0 open to 1 closed, into `frame`, (h, w, 3) RGB."""
        stage = round(min(max(blink, 0.0), 1.0) * STAGES)
        if stage == 0:
            return
        for eye in self.eyes:
            if len(eye.stages):
                frame[eye.window] = eye.stages[stage - 1]


def wears_glasses(portrait: Portrait) -> bool:
    """True where a bridge crosses the nose between the eyes."""
    import cv2

    eye = portrait.eye_distance_px
    flat = portrait.landmarks[:, :2]
    middle = flat[[points.LEFT_EYE_INNER, points.RIGHT_EYE_INNER]].mean(axis=0)
    along = (flat[points.RIGHT_EYE_OUTER] - flat[points.LEFT_EYE_OUTER]) / eye
    down = np.array([-along[1], along[0]], np.float32)
    x, y = np.linspace(-0.05, 0.05, 9) * eye, np.linspace(-0.16, 0.14, 61) * eye
    at = middle + x[None, :, None] * along + y[:, None, None] * down
    grey = cv2.cvtColor(portrait.image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    soft = np.asarray(cv2.GaussianBlur(grey, (0, 0), 0.01 * eye), np.float32)
    profile = sample(soft, at).mean(axis=1)
    edge = np.abs(np.gradient(profile, y / eye)).max() / max(float(profile.mean()), 1.0)
    return bool(edge > BRIDGE_EDGE)


def _render(
    portrait: Portrait,
    upper: Sequence[int],
    lower: Sequence[int],
    brow: Sequence[int],
    *,
    has_lids: bool,
) -> Eye:
    eye = portrait.eye_distance_px
    flat = portrait.landmarks[:, :2]
    frame = _EyeFrame(flat[upper[0]], flat[upper[-1]])
    around = flat[[*upper, *lower]]
    width, height = portrait.size
    x0, y0 = np.clip(np.floor(around.min(axis=0) - [0.14 * eye, 0.26 * eye]), 0, None).astype(int)
    x1, y1 = np.ceil(around.max(axis=0) + 0.14 * eye).astype(int)
    rows, columns = min(int(y1), height) - int(y0), min(int(x1), width) - int(x0)
    grid = np.stack(np.meshgrid(np.arange(columns) + x0, np.arange(rows) + y0), axis=-1)
    corner = np.array([x0, y0], np.float32)
    iris = _iris(flat[[*upper, *lower[::-1]]] - corner, (rows, columns), eye)
    stages = np.zeros((0, rows, columns, 3), np.uint8)
    if has_lids:
        lid = _find_lid(portrait, frame, upper, lower, brow)
        stages = np.stack(_stages(portrait.image, frame, grid.astype(np.float32), lid, eye))
    return Eye(int(x0), int(y0), iris, stages)


def _iris(outline: Array, shape: tuple[int, int], eye: float) -> NDArray[np.float32]:
    """1 in the middle of the eye's opening, falling to 0 at the lids."""
    import cv2

    opening: NDArray[np.uint8] = np.zeros(shape, np.uint8)
    cv2.fillPoly(opening, [np.round(outline).astype(np.int32)], (1.0,))
    inside = cv2.distanceTransform(opening, cv2.DIST_L2, 5)
    return smooth_step(0.0, IRIS_EDGE * eye, np.asarray(inside, np.float32))


@dataclass(frozen=True)
class _Lid:
    """Curves over `_U`: y in pixels down the face."""

    edge: Array
    """Where the upper lid ends and the eye begins."""
    lash: Array
    """Upper end of the lashes."""
    floor: Array
    """The lower lid."""
    start: Array
    """Where the skin that unfolds begins, below the brow."""


def _stages(
    image: NDArray[np.uint8], frame: _EyeFrame, pixels: Array, lid: _Lid, eye: float
) -> list[NDArray[np.uint8]]:
    import cv2

    local = frame.to_local(pixels)
    u, y = local[..., 0], local[..., 1]
    edge, lash, floor, start = (
        np.interp(u, _U, curve) for curve in (lid.edge, lid.lash, lid.floor, lid.start)
    )
    own = sample(image, pixels).astype(np.float32)
    # Stretched skin would show each lash above it as a streak: it is smoothed along the lid.
    smooth = np.asarray(cv2.GaussianBlur(image, (0, 0), 0.045 * eye, sigmaY=0.012 * eye), np.uint8)
    grain = _grain(image, pixels + frame.down * GRAIN_BELOW * eye)
    stages = []
    for stage in range(1, STAGES + 1):
        fall = stage / STAGES * np.maximum(0.0, floor - edge)
        skin = np.maximum(lash - start, 1.0)
        # Skin unfolds: what is near the lashes stretches, what is at the brow stays.
        share = np.clip((y - start) / (skin + fall), 0.0, 1.0)
        unfolded = start + skin * (1.0 - (1.0 - share) ** ((skin + fall) / skin))
        source = np.where(y <= start, y, np.where(y < lash + fall, unfolded, y - fall))
        drawn = _at(image, frame, pixels, source - y)
        # Its colour comes from higher up: the crease next to the lashes is in shadow.
        plain = _at(smooth, frame, pixels, start + (0.55 + 0.35 * share) * skin - y) + grain
        is_skin = np.clip((lash + fall - y) / 1.5 + 0.5, 0.0, 1.0)
        unfolding = smooth_step(0.25, 0.65, share) * np.clip(fall / (0.5 * skin), 0.0, 1.0)
        drawn += (plain - drawn) * (is_skin * unfolding)[..., None]
        cover = np.clip(0.5 + (edge + fall - y) / (2 * SOFT_PX), 0.0, 1.0)
        cover = cover * np.clip(fall / 0.5, 0.0, 1.0)
        mixed = own + (drawn - own) * cover[..., None]
        stages.append(np.clip(mixed + 0.5, 0, 255).astype(np.uint8))
    return stages


def _at(image: NDArray[np.uint8], frame: _EyeFrame, pixels: Array, dy: Array) -> Array:
    """What `image` shows `dy` pixels further down the face."""
    return sample(image, pixels + frame.down * dy[..., None]).astype(np.float32)


def _grain(image: NDArray[np.uint8], at: Array) -> Array:
    """The fine texture of the skin at those places, around 0: smooth lids would look painted."""
    import cv2

    there = sample(image, at).astype(np.float32)
    return np.asarray(np.clip(there - cv2.GaussianBlur(there, (0, 0), 1.5), -10, 10))


class _EyeFrame:
    """x along the eye (-1 and 1 are its corners), y down the face in pixels."""

    def __init__(self, left: Array, right: Array) -> None:
        self.middle = (left + right) / 2
        self.half = float(np.hypot(*(right - left))) / 2
        self.along = (right - left) / (2 * self.half)
        self.down = np.array([-self.along[1], self.along[0]], np.float32)

    def to_local(self, xy: Array) -> Array:
        offset = xy - self.middle
        return np.stack([offset @ self.along / self.half, offset @ self.down], axis=-1)

    def to_image(self, u: Array, y: Array) -> Array:
        return (
            self.middle + u[..., None] * self.half * self.along + y[..., None] * self.down
        ).astype(np.float32)


_U = np.linspace(-1.25, 1.25, 101).astype(np.float32)


def _find_lid(
    portrait: Portrait,
    frame: _EyeFrame,
    upper: Sequence[int],
    lower: Sequence[int],
    brow: Sequence[int],
) -> _Lid:
    flat, eye = portrait.landmarks[:, :2], portrait.eye_distance_px
    edge, floor = (_arc(frame.to_local(flat[list(side)])) for side in (upper, lower))
    closing = np.clip((1.24 - np.abs(_U)) / 0.34, 0.0, 1.0)
    closing = np.sqrt(closing)
    # Landmarks run inside the lower lid: its edge, wet and bright, is a little further down.
    floor = floor + FLOOR_BELOW * eye
    middle = (edge + floor) / 2
    # The eye is a little wider than its landmarks: the lids meet beyond them.
    edge, floor = middle + (edge - middle) * closing, middle + (floor - middle) * closing
    lash = edge - _lash_height(portrait, frame, edge) * closing
    above = frame.to_local(flat[list(brow)])
    low_brow = float(above[:, 1].max()) + 0.035 * eye
    start = np.minimum(np.maximum(lash - SKIN_ABOVE * eye, low_brow), lash - 0.05 * eye)
    return _Lid(edge, lash, floor, start)


def _arc(local: Array) -> Array:
    """A smooth arc through the points of a lid, over `_U`."""
    shape = np.polynomial.Polynomial.fit(local[:, 0], local[:, 1], 4, domain=[-1, 1])
    return np.asarray(shape(np.clip(_U, -1.0, 1.0)), np.float32)


def _lash_height(portrait: Portrait, frame: _EyeFrame, edge: Array) -> Array:
    """How far above the lid's edge its bright skin begins, over `_U`, in pixels."""
    import cv2

    eye = portrait.eye_distance_px
    least, usual, most = (share * eye for share in LASHES)
    heights = np.arange(0.0, 0.075 * eye, 0.5).astype(np.float32)
    grey = cv2.cvtColor(portrait.image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    soft = np.asarray(cv2.GaussianBlur(grey, (0, 0), 0.008 * eye), np.float32)
    at = frame.to_image(np.broadcast_to(_U, (len(heights), len(_U))), edge - heights[:, None])
    rise = np.gradient(sample(soft, at), axis=0)
    prior = ((heights[:, None] - usual) / (0.03 * eye)) ** 2
    path = best_path(rise - 0.5 * float(rise.std()) * prior)
    inner = np.abs(_U) < 0.85
    shape = np.polynomial.Polynomial.fit(_U[inner], heights[path][inner], 2)
    found = np.asarray(shape(np.clip(_U, -0.9, 0.9)), np.float32) + 0.014 * eye
    return np.asarray(np.clip(found, least, most))
