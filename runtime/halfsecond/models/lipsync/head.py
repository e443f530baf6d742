"""Moves a head and its shoulders by little: displacement fields from the landmarks' depth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.face import points
from halfsecond.models.face.portrait import Portrait
from halfsecond.models.lipsync.expression import ExpressionPose
from halfsecond.models.lipsync.eyes import wears_glasses
from halfsecond.models.lipsync.warp import Grid, Warp, enlarge, sample, smooth_step

Array = NDArray[np.floating]

STEP_PX = 8
HEAD_REACH = 0.85
"""Within this many face widths and heights of its middle the head moves as one (hair included)."""
HEAD_FADE = 1.30
"""Beyond this many nothing moves."""
BREATH_SHARE = 0.006
"""Rise of the shoulders with a breath, in eye distances: about half a pixel at 512."""
BROW_RAISE = 0.060
"""How far raised brows go up, in eye distances."""
SMILE_OUT, SMILE_UP = 0.050, 0.060
"""How far a smile takes the corners of the mouth, in eye distances."""
CHEEK_UP = 0.022
"""How far it lifts the cheeks."""
CHEEKS = (50, 280)
STILL_PX = 0.02
"""Cells that no pose moves by more than this are left out of the remap."""


@dataclass(frozen=True)
class Head:
    """The head of one portrait; moves whatever frame was drawn of it."""

    warp: Warp
    eye_distance_px: float

    @classmethod
    def of(cls, portrait: Portrait) -> Head:
        """The head of the portrait, by its landmarks."""
        width, height = portrait.size
        whole = Grid(0, 0, -(-width // STEP_PX), -(-height // STEP_PX), STEP_PX)
        grid, fields = _moving_part(whole, _fields(portrait, whole))
        return cls(Warp(grid, fields), portrait.eye_distance_px)

    @cached_property
    def _pixels(self) -> NDArray[np.float32]:
        return self.warp.grid.pixels()

    def move(self, frame: NDArray[np.uint8], pose: ExpressionPose) -> NDArray[np.uint8]:
        """A frame with the head turned; `frame` is left as it is."""
        weights = np.array(
            [
                pose.yaw_rad,
                pose.pitch_rad,
                pose.roll_rad,
                pose.shift_x * self.eye_distance_px,
                pose.shift_y * self.eye_distance_px,
                pose.breath,
                pose.brow,
                pose.smile,
            ],
            np.float32,
        )
        at = enlarge(self.warp.inverse(weights), STEP_PX)
        at += self._pixels
        moved = np.array(frame)
        part = moved[self.warp.grid.window]  # cells at the picture's edge may reach beyond it
        at = at[: part.shape[0], : part.shape[1]]
        part[...] = sample(frame, at)
        return moved


def _fields(portrait: Portrait, grid: Grid) -> Array:
    """(8, rows, columns, 2): yaw, pitch, roll per radian, x, y per pixel, breath, brows, smile."""
    width, height = portrait.size
    at = grid.centres()
    x, y = at[..., 0], at[..., 1]
    head, body = _head_cover(portrait, x, y), _body_cover(portrait, x, y)
    # Nothing moves at the picture's edge, except at the bottom, where a body may go on.
    margin = 0.08 * min(width, height)
    edge = (
        smooth_step(0.0, margin, x)
        * smooth_step(0.0, margin, width - 1 - x)
        * smooth_step(0.0, margin, y)
    )
    head, body = head * edge, body * edge
    lever = _lever(portrait, at)
    pivot = portrait.landmarks[points.CHIN, :2]
    pivot_y = float(pivot[1]) + 0.3 * portrait.eye_distance_px
    zero = np.zeros_like(x)
    breath = -BREATH_SHARE * portrait.eye_distance_px * np.maximum(body, 0.6 * head)
    pairs: list[tuple[NDArray[Any], NDArray[Any]]] = [
        (lever * head, zero),
        (zero, lever * head),
        (-(y - pivot_y) * head, (x - float(pivot[0])) * head),
        (head, zero),
        (zero, head),
        (zero, breath),
    ]
    return np.stack(
        [*(_field(dx, dy) for dx, dy in pairs), _brows(portrait, x, y), _smile(portrait, at)]
    )


def _brows(portrait: Portrait, x: Array, y: Array) -> NDArray[np.float32]:
    """Both brows up, the forehead with them. Not behind glasses: the rims would follow."""
    eye, flat = portrait.eye_distance_px, portrait.landmarks[:, :2]
    raised = np.zeros_like(x)
    if wears_glasses(portrait):
        return _field(raised, raised)
    for brow, lid in (
        (points.LEFT_BROW, points.LEFT_LID_UPPER),
        (points.RIGHT_BROW, points.RIGHT_LID_UPPER),
    ):
        marks = flat[list(brow)]
        middle_x, middle_y = marks.mean(axis=0)
        half = float(np.ptp(marks[:, 0])) / 2
        room = max(float(flat[list(lid), 1].min()) - float(middle_y), 0.06 * eye)
        aside = 1.0 - smooth_step(0.75, 1.6, np.abs(x - middle_x) / half)
        below = 1.0 - smooth_step(0.1, 1.0, (y - middle_y) / room)
        above = 1.0 - smooth_step(0.0, 0.50, (middle_y - y) / eye)
        raised = np.maximum(raised, aside * below * above)
    return _field(np.zeros_like(x), -BROW_RAISE * eye * raised)


def _smile(portrait: Portrait, at: Array) -> NDArray[np.float32]:
    """The corners of the mouth out and up, the cheeks up."""
    eye, flat = portrait.eye_distance_px, portrait.landmarks[:, :2]

    def near(place: Array, reach: float) -> Array:
        away = ((at - place) ** 2).sum(axis=-1) / (2 * (reach * eye) ** 2)
        return np.asarray(np.exp(-away), np.float32)

    left, right = (near(flat[i], 0.17) for i in (points.MOUTH_LEFT, points.MOUTH_RIGHT))
    cheeks = sum((near(flat[i], 0.22) for i in CHEEKS), np.zeros_like(left))
    up = SMILE_UP * (left + right) + CHEEK_UP * cheeks
    return _field(SMILE_OUT * eye * (right - left), -eye * up)


def _field(dx: NDArray[Any], dy: NDArray[Any]) -> NDArray[np.float32]:
    return np.stack([dx, dy], axis=-1).astype(np.float32)


def _head_cover(portrait: Portrait, x: Array, y: Array) -> Array:
    flat = portrait.landmarks[:, :2]
    low, high = flat.min(axis=0), flat.max(axis=0)
    wide, tall = high - low
    middle_x, middle_y = (low[0] + high[0]) / 2, (low[1] + high[1]) / 2 - 0.12 * tall
    # The chin is the lower end of what moves as one; above the forehead there is hair.
    below = (high[1] - middle_y) / HEAD_REACH
    down = np.where(y > middle_y, (y - middle_y) / below, (y - middle_y) / tall)
    distance = np.hypot((x - middle_x) / wide, down)
    return 1.0 - smooth_step(HEAD_REACH, HEAD_FADE, distance)


def _body_cover(portrait: Portrait, x: Array, y: Array) -> Array:
    flat = portrait.landmarks[:, :2]
    wide = float(np.ptp(flat[:, 0]))
    chin_x, chin_y = flat[points.CHIN].tolist()
    below = smooth_step(0.0, 0.7 * portrait.eye_distance_px, y - chin_y)
    aside = smooth_step(0.9 * wide, 1.6 * wide, np.abs(x - chin_x))
    # Breath is seen at shoulders and chest; a belly that moved as well would cost as much again.
    low = smooth_step(1.6, 2.6, (y - chin_y) / portrait.eye_distance_px)
    return np.asarray(below * (1.0 - aside) * (1.0 - low))


def _lever(portrait: Portrait, at: Array) -> Array:
    """How far each cell is in front of the axis on which the head turns, in pixels."""
    marks = portrait.landmarks
    eye = portrait.eye_distance_px
    rim = float(marks[list(points.OVAL), 2].mean())
    reach = 0.13 * eye
    total = np.full(at.shape[:2], 0.3, np.float32)
    depth = total * rim
    for x, y, z in marks:
        weight = np.exp(-((at[..., 0] - x) ** 2 + (at[..., 1] - y) ** 2) / (2 * reach**2))
        total += weight
        depth += weight * z
    return (rim + 0.6 * eye - depth / total).astype(np.float32)


def _moving_part(whole: Grid, fields: Array) -> tuple[Grid, Array]:
    """The grid cut down to the cells that some pose moves visibly."""
    reach = np.array([0.05, 0.05, 0.05, 4.0, 4.0, 1.0, 1.0, 1.0], np.float32)[:, None, None]
    moved = (np.abs(fields).max(axis=-1) * reach).max(axis=0) > STILL_PX
    rows, columns = np.flatnonzero(moved.any(axis=1)), np.flatnonzero(moved.any(axis=0))
    y0, y1 = max(0, int(rows[0]) - 1), min(whole.rows, int(rows[-1]) + 2)
    x0, x1 = max(0, int(columns[0]) - 1), min(whole.columns, int(columns[-1]) + 2)
    part = Grid(x0 * whole.step, y0 * whole.step, x1 - x0, y1 - y0, whole.step)
    return part, fields[:, y0:y1, x0:x1]
