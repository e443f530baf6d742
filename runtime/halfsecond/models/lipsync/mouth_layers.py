"""Draws the lower face of a portrait in a mouth pose: two warped layers over the mouth's inside."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.face import points
from halfsecond.models.face.portrait import Portrait
from halfsecond.models.lipsync.folds import without_folds
from halfsecond.models.lipsync.interior import Interior
from halfsecond.models.lipsync.lip_fields import lip_fields
from halfsecond.models.lipsync.lip_snap import snap_lips
from halfsecond.models.lipsync.lips import Lips, find_lips
from halfsecond.models.lipsync.mouth import MouthPose
from halfsecond.models.lipsync.warp import STEP_PX, Grid, Warp, enlarge, sample

Array = NDArray[np.floating]

CHEEKS = (50, 280, 205, 425, 101, 330)


@dataclass(frozen=True)
class MouthLayers:
    """One portrait's lower face, ready to be drawn in any pose."""

    lips: Lips
    upper: Warp
    """The face above the slit of the mouth; both on the grid of the lower face."""
    lower: Warp
    """The face below it."""
    above: NDArray[np.bool_]
    """(rows, columns, 1) the grid's cells above the slit."""
    face: NDArray[np.uint8]
    """(h, w, 3) what the portrait shows there."""
    mouth: Grid
    """The small window in which the lips part."""
    upper_lip: NDArray[np.uint8]
    """(h, w, 4) RGB and cover, over the lower face."""
    lower_lip: NDArray[np.uint8]
    interior: Interior

    @classmethod
    def of(cls, portrait: Portrait) -> MouthLayers:
        """What is drawn of the portrait's mouth."""
        lips = snap_lips(portrait.image, find_lips(portrait))
        grid = _lower_face(portrait)
        upper, lower = lip_fields(lips, grid)
        mouth = _mouth_window(lips, grid)
        image = without_folds(portrait, lips)
        upper_lip, lower_lip = _lip_sources(image, lips, grid)
        return cls(
            lips=lips,
            upper=Warp(grid, upper),
            lower=Warp(grid, lower),
            above=_above_seam(lips, grid),
            face=np.ascontiguousarray(image[grid.window]),
            mouth=mouth,
            upper_lip=upper_lip,
            lower_lip=lower_lip,
            interior=Interior.of(portrait.image, lips, mouth, skin_colour(portrait)),
        )

    @property
    def grid(self) -> Grid:
        """The part of the picture that speaking moves."""
        return self.upper.grid

    @cached_property
    def _pixels(self) -> NDArray[np.float32]:
        return self.grid.pixels() - np.array([self.grid.x0, self.grid.y0], np.float32)

    @cached_property
    def _inner(self) -> tuple[slice, slice]:
        """The mouth's window in the grid's pixels."""
        y0, x0 = self.mouth.y0 - self.grid.y0, self.mouth.x0 - self.grid.x0
        rows, columns = self.mouth.shape
        return slice(y0, y0 + rows), slice(x0, x0 + columns)

    @cached_property
    def _cells(self) -> tuple[slice, slice]:
        """Its cells, and one more on each side: pixels at its edge lie between two cells."""
        rows, columns = self._inner
        return (
            slice(rows.start // STEP_PX - 1, rows.stop // STEP_PX + 1),
            slice(columns.start // STEP_PX - 1, columns.stop // STEP_PX + 1),
        )

    @cached_property
    def _mouth_pixels(self) -> NDArray[np.float32]:
        return np.ascontiguousarray(self._pixels[self._inner])

    def draw(self, frame: NDArray[np.uint8], pose: MouthPose) -> None:
        """Draws the pose into `frame`, (h, w, 3) RGB, which shows the portrait elsewhere."""
        weights = _weights(pose)
        upper, lower = self.upper.inverse(weights), self.lower.inverse(weights)
        both = np.where(self.above, upper, lower)
        at = enlarge(both, STEP_PX) + self._pixels
        target = frame[self.grid.window]
        target[...] = sample(self.face, at)
        target[self._inner] = self._draw_mouth(upper, lower, pose)

    def _fitted(self, layer: NDArray[np.float32]) -> NDArray[np.float32]:
        """Displacements of the mouth window's pixels."""
        return enlarge(layer[self._cells], STEP_PX)[STEP_PX:-STEP_PX, STEP_PX:-STEP_PX]

    def _draw_mouth(
        self, upper: NDArray[np.float32], lower: NDArray[np.float32], pose: MouthPose
    ) -> NDArray[np.uint8]:
        import cv2

        up = sample(self.upper_lip, self._fitted(upper) + self._mouth_pixels)
        low = sample(self.lower_lip, self._fitted(lower) + self._mouth_pixels)
        over, under = up[..., 3:].astype(np.float32) / 255, low[..., 3:].astype(np.float32) / 255
        inside = self.interior.draw(pose)
        # Lips shade what is behind them, less the wider they are apart.
        soft = 0.026 * self.lips.eye_distance
        lit = min(1.0, 1.6 * pose.opening)
        shade = (0.66 - 0.30 * lit) * over + (0.62 - 0.16 * lit) * under * (1 - over)
        dark = np.asarray(cv2.GaussianBlur(shade, (0, 0), soft), np.float32)[..., None]
        inside += (self.interior.shadow - inside) * dark
        result = inside + (low[..., :3] - inside) * under
        result += (up[..., :3] - result) * over
        return np.clip(result + 0.5, 0, 255).astype(np.uint8)


def skin_colour(portrait: Portrait) -> Array:
    """(3,) mean RGB of the cheeks."""
    height, width = portrait.image.shape[:2]
    places = np.round(portrait.landmarks[list(CHEEKS), :2]).astype(int)
    x, y = np.clip(places[:, 0], 2, width - 3), np.clip(places[:, 1], 2, height - 3)
    patches = [portrait.image[b - 2 : b + 3, a - 2 : a + 3] for a, b in zip(x, y, strict=True)]
    return np.asarray(np.median(np.stack(patches).reshape(-1, 3), axis=0), np.float32)


def _weights(pose: MouthPose) -> Array:
    """Weights of `lip_fields.FIELDS`."""
    return np.array(
        [
            1.0,
            pose.jaw,
            max(pose.width, 0.0),
            max(-pose.width, 0.0),
            pose.upper if pose.upper > 0 else 0.7 * pose.upper,
            pose.lower,
            pose.press,
            pose.round,
        ],
        np.float32,
    )


def _lower_face(portrait: Portrait) -> Grid:
    """What speaking can move: from the nose down to the neck, and the cheeks."""
    eye, flat = portrait.eye_distance_px, portrait.landmarks[:, :2]
    (x0, _), (x1, y1) = flat.min(axis=0).tolist(), flat.max(axis=0).tolist()
    nose_y = float(flat[points.NOSE_TIP, 1])
    box = (x0 - 0.25 * eye, nose_y - 0.38 * eye, x1 + 0.25 * eye, y1 + 0.8 * eye)
    return Grid.around(box, portrait.size)


def _above_seam(lips: Lips, grid: Grid) -> NDArray[np.bool_]:
    local = lips.to_local(grid.centres())
    u = local[..., 0] / lips.half_width
    seam = lips.curve((lips.upper_inner + lips.lower_inner) / 2, u)
    return (local[..., 1] < seam)[..., None]


def _mouth_window(lips: Lips, grid: Grid) -> Grid:
    """The part of the grid, on its cells, that the slit of the mouth can reach."""
    eye, half = lips.eye_distance, lips.half_width
    reach = np.array([[-1.3 * half, -0.14 * eye], [1.3 * half, 0.40 * eye]], np.float32)
    corners = np.array([[x, y] for x in reach[:, 0] for y in reach[:, 1]], np.float32)
    found = lips.to_image(corners) + lips.origin - np.array([grid.x0, grid.y0], np.float32)
    low = np.clip(np.floor(found.min(axis=0) / STEP_PX), 1, None).astype(int)
    high = np.ceil(found.max(axis=0) / STEP_PX).astype(int)
    columns = min(int(high[0]), grid.columns - 1) - int(low[0])
    rows = min(int(high[1]), grid.rows - 1) - int(low[1])
    x0, y0 = grid.x0 + int(low[0]) * STEP_PX, grid.y0 + int(low[1]) * STEP_PX
    return Grid(x0, y0, columns, rows)


def _lip_sources(
    image: NDArray[np.uint8], lips: Lips, grid: Grid
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The face with only its upper, and with only its lower lip: (h, w, 4) RGB and cover.

    Each lip's colour goes on beyond its edge, where the portrait shows teeth: otherwise they
    would stick to the lip.
    """
    local = lips.to_local(grid.pixels())
    y, u = local[..., 1], local[..., 0] / lips.half_width
    upper, lower = lips.curve(lips.upper_inner, u), lips.curve(lips.lower_inner, u)
    eye = lips.eye_distance
    within = np.clip((1.06 - np.abs(u)) / 0.12, 0.0, 1.0)
    # In the corners the dark of the mouth reaches far into the lips.
    corner = np.clip((np.abs(u) - 0.70) / 0.25, 0.0, 1.0)
    inset = (0.012 + 0.014 * corner) * eye * within
    # The edge is as soft as the picture itself; beyond the corners it gets wide and vanishes.
    soft = 0.009 * eye + 0.10 * eye * np.clip(np.abs(u) - 1.0, 0.0, 1.0)
    up_cover = np.clip(0.5 + (upper - y) / (2 * soft), 0.0, 1.0)
    low_cover = np.clip(0.5 + (y - lower) / (2 * soft), 0.0, 1.0)
    low_cover = np.where(np.abs(u) > 1.0, 1.0, low_cover)
    up = _stretched(image, lips, grid, np.minimum(0.0, upper - inset - y) * (within > 0))
    low = _stretched(image, lips, grid, np.maximum(0.0, lower + inset - y) * (within > 0))
    return _with_cover(up, up_cover), _with_cover(low, low_cover)


def _stretched(
    image: NDArray[np.uint8], lips: Lips, grid: Grid, dy: NDArray[np.floating]
) -> NDArray[np.uint8]:
    """The grid's pixels, each taken from `dy` further down the face."""
    shift = lips.to_image(np.stack([np.zeros_like(dy), dy], axis=-1).astype(np.float32))
    at = (grid.pixels() + shift).astype(np.float32)
    return sample(image, at)


def _with_cover(colour: NDArray[np.uint8], cover: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.dstack([colour, np.round(cover * 255).astype(np.uint8)])
