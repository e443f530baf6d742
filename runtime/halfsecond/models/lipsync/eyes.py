"""Blinks: each eye with its lid at several heights, rendered once per portrait."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.face import points
from halfsecond.models.face.portrait import Portrait
from halfsecond.models.lipsync.warp import sample

Array = NDArray[np.float32]

STAGES = 10
"""A blink lasts some seven frames: more stages than these are not told apart."""
SKIN_ABOVE = 0.11
"""Height of the lid skin that stretches over the eye, in eye distances."""
LASHES = 0.030
"""Height of the lash band that moves with the lid, in eye distances."""


class Eyes:
    """Both eyes of one portrait."""

    def __init__(self, portrait: Portrait) -> None:
        self._eyes = [
            _render(portrait, points.LEFT_LID_UPPER, points.LEFT_LID_LOWER),
            _render(portrait, points.RIGHT_LID_UPPER, points.RIGHT_LID_LOWER),
        ]

    def close(self, frame: NDArray[np.uint8], blink: float) -> None:
        """Draws the lids at `blink`, 0 open to 1 closed, into `frame`, (h, w, 3) RGB."""
        stage = round(min(max(blink, 0.0), 1.0) * STAGES)
        if stage == 0:
            return
        for window, stages in self._eyes:
            frame[window] = stages[stage - 1]


def _render(
    portrait: Portrait, upper: Sequence[int], lower: Sequence[int]
) -> tuple[tuple[slice, slice], list[NDArray[np.uint8]]]:
    """The window of one eye in the picture, and what it shows at each stage."""
    eye = portrait.eye_distance_px
    flat = portrait.landmarks[:, :2]
    frame = _EyeFrame(flat[upper[0]], flat[upper[-1]])
    around = flat[[*upper, *lower]]
    width, height = portrait.size
    x0, y0 = np.clip(np.floor(around.min(axis=0) - [0.10 * eye, 0.24 * eye]), 0, None).astype(int)
    x1, y1 = np.ceil(around.max(axis=0) + 0.10 * eye).astype(int)
    window = (slice(int(y0), min(int(y1), height)), slice(int(x0), min(int(x1), width)))
    rows, columns = window[0].stop - window[0].start, window[1].stop - window[1].start
    grid = np.stack(np.meshgrid(np.arange(columns) + x0, np.arange(rows) + y0), axis=-1)
    pixels = grid.astype(np.float32)
    local = frame.to_local(pixels)
    top, bottom = _lids(portrait, frame, flat[list(upper)], flat[list(lower)])
    stages = []
    for stage in range(1, STAGES + 1):
        shift = _lid_shift(local, top, bottom, stage / STAGES, eye)
        at = pixels + frame.down * shift[..., None]
        stages.append(sample(portrait.image, at.astype(np.float32)))
    return window, stages


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


def _lids(portrait: Portrait, frame: _EyeFrame, upper: Array, lower: Array) -> tuple[Array, Array]:
    """y of the upper edge of the lashes and of the lower lid, at `_U`."""
    import cv2

    def curve(marks: Array) -> Array:
        local = frame.to_local(marks)
        return np.interp(_U, local[:, 0], local[:, 1]).astype(np.float32)

    eye = portrait.eye_distance_px
    guess, bottom = curve(upper), curve(lower)
    # The lash line is where bright lid skin turns dark, a little above the landmarks.
    offsets = np.arange(-0.07 * eye, 0.025 * eye, 0.5).astype(np.float32)
    y = guess[None, :] + offsets[:, None]
    at = frame.to_image(np.broadcast_to(_U, y.shape), y)
    grey = cv2.cvtColor(portrait.image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    sampled = sample(np.asarray(cv2.GaussianBlur(grey, (0, 0), 0.007 * eye), np.float32), at)
    fall = -np.gradient(sampled, axis=0)
    prior = 0.004 * np.abs(offsets[:, None] / eye + 0.02) * float(np.abs(fall).max()) * 100
    path = best_path(fall - 0.1 * prior)
    snapped = guess + offsets[path]
    inside = np.clip((1.0 - np.abs(_U)) / 0.25, 0.0, 1.0)
    smooth = cv2.GaussianBlur((snapped - guess).reshape(1, -1) * inside, (0, 0), 4.0)[0]
    return (guess + smooth).astype(np.float32), bottom


def best_path(score: NDArray[np.floating]) -> NDArray[np.intp]:
    """(columns,) row of the path from left to right with the highest sum, one row a step."""
    rows, columns = score.shape
    total = score[:, 0].astype(np.float64)
    came = np.zeros((rows, columns), np.intp)
    for column in range(1, columns):
        padded = np.pad(total, 1, constant_values=-np.inf)
        options = np.stack([padded[:-2], padded[1:-1], padded[2:]])
        choice = options.argmax(axis=0)
        came[:, column] = np.arange(rows) + choice - 1
        total = options.max(axis=0) + score[:, column]
    path = np.zeros(columns, np.intp)
    path[-1] = int(total.argmax())
    for column in range(columns - 1, 0, -1):
        path[column - 1] = came[path[column], column]
    return path


def _lid_shift(local: Array, top: Array, bottom: Array, closed: float, eye: float) -> Array:
    """How far down the face each pixel's colour comes from; negative is from above."""
    u, y = local[..., 0], local[..., 1]
    lash = np.interp(u, _U, top)
    floor = np.interp(u, _U, bottom)
    fall = closed * np.maximum(0.0, floor - lash) * 0.96
    start = lash - SKIN_ABOVE * eye
    skin = SKIN_ABOVE * eye
    stretched = start + (y - start) * skin / (skin + fall)
    band = LASHES * eye
    below = np.clip((y - (lash + fall)) / band, 0.0, 1.0)
    # Under the lash line the lashes move along; below them the eye stays where it is.
    follow = y - fall * (1.0 - np.clip((below - 0.6) / 0.4, 0.0, 1.0))
    source = np.where(y <= start, y, np.where(y <= lash + fall, stretched, follow))
    source = np.where(below >= 1.0, y, source)
    return (source - y).astype(np.float32)
