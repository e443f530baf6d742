"""The slit of a mouth as the picture shows it: landmarks alone are off by some pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.lipsync.lips import CURVE_REACH, CURVE_SAMPLES, Lips
from halfsecond.models.lipsync.snap import best_path, smooth_offsets
from halfsecond.models.lipsync.warp import sample

Array = NDArray[np.floating]

CLOSED_GAP = 0.055
"""Inner contours nearer than this, in eye distances, are those of a closed mouth."""
NARROW_GAP, TEETH_BRIGHTER = 0.025, 0.25
"""From this gap on, teeth may show: a stripe brighter than the dark lines on both sides of it, by
this part of the mean brightness."""
REACH = 0.035
"""How far a contour may move, in eye distances."""
REACH_INSIDE = 0.45
"""How far the lower one may move into the mouth, as a part of the gap."""
COLUMNS = 81
STEP_PX = 0.25


def snap_lips(image: NDArray[np.uint8], lips: Lips) -> Lips:
    """`lips` with the inner contours where the picture has them."""
    u = np.linspace(-0.98, 0.98, COLUMNS)
    upper, lower = lips.curve(lips.upper_inner, u), lips.curve(lips.lower_inner, u)
    gap = float((lower - upper).max())
    if gap < CLOSED_GAP * lips.eye_distance and not _shows_teeth(image, lips, gap):
        seam = _darkest(image, lips, u, (upper + lower) / 2)
        return _with_slit(lips, u, seam, seam)
    outer_up, outer_low = lips.curve(lips.upper_outer, u), lips.curve(lips.lower_outer, u)
    strangeness = _Strangeness(image, lips, u, outer_up, upper, lower, outer_low)
    return _with_slit(
        lips,
        u,
        _edge(lips, u, upper, strangeness, inward=1.0, gap=0.0),
        _edge(lips, u, lower, strangeness, inward=-1.0, gap=gap),
    )


class _Strangeness:
    """How unlike lips a colour is, 0 to 1: teeth are brighter, the cavity darker, both less red."""

    def __init__(
        self,
        image: NDArray[np.uint8],
        lips: Lips,
        u: Array,
        outer_up: Array,
        upper: Array,
        lower: Array,
        outer_low: Array,
    ) -> None:
        self._image, self._lips = image, lips
        middle = np.abs(u) < 0.8
        both = [
            self.lab(u[middle], (start + share * (end - start))[middle])
            for start, end in ((outer_up, upper), (lower, outer_low))
            for share in (0.3, 0.45, 0.6, 0.75)
        ]
        colours = np.concatenate(both).reshape(-1, 3)
        # Where the landmarks are far off, half of these are skin: lips are the redder half.
        colours = colours[colours[:, 1] >= np.median(colours[:, 1])]
        self._mean = np.median(colours, axis=0)
        spread = np.median(np.abs(colours - self._mean), axis=0) * 1.5
        self._spread = np.maximum(spread, [7.0, 3.0, 3.0])

    def lab(self, u: Array, y: Array) -> Array:
        """Lab of the picture, smoothed as little as its noise asks for."""
        import cv2

        local = np.stack([u * self._lips.half_width, y], axis=-1).astype(np.float32)
        at = self._lips.to_image(local) + self._lips.origin
        at = at.reshape(1, -1, 2) if at.ndim == 2 else at
        rgb = sample(self._image, at.astype(np.float32)).astype(np.float32) / 255
        lab = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB), np.float64)
        return lab.reshape(*np.shape(y), 3)

    def __call__(self, u: Array, y: Array) -> Array:
        away = (self.lab(u, y) - self._mean) / self._spread
        distance = (away**2).sum(axis=-1)
        return np.asarray(1.0 - np.exp(-distance / 18.0))


def _edge(
    lips: Lips,
    u: Array,
    guess: Array,
    strangeness: _Strangeness,
    *,
    inward: float,
    gap: float,
) -> Array:
    """The contour where lip turns into the inside of the mouth, going `inward` down the face."""
    eye = lips.eye_distance
    # In broad smiles the landmarks put the lower lip too low: its edge is well inside.
    furthest = max(REACH * eye, REACH_INSIDE * gap)
    offsets = np.arange(-REACH * eye, furthest + STEP_PX, STEP_PX)
    window = max(2, round(0.018 * eye / STEP_PX))
    padded = np.arange(offsets[0] - window * STEP_PX, offsets[-1] + window * STEP_PX, STEP_PX)
    y = guess[None, :] + inward * padded[:, None]
    strange = strangeness(np.broadcast_to(u, y.shape), y)
    total = np.concatenate([np.zeros((1, len(u))), np.cumsum(strange, axis=0)])
    rows = np.arange(window, window + len(offsets))
    rows = rows[rows + window < len(total)]
    inside = total[rows + window] - total[rows]
    outside = total[rows] - total[rows - window]
    score = (inside - outside) / window
    at = offsets[: len(rows), None] / furthest
    path = best_path(score - 0.25 * at**2)
    found = offsets[path]
    trust = np.clip(score[path, np.arange(len(u))], 0.05, 1.0) * np.clip(
        (1.0 - np.abs(u)) / 0.2, 0.2, 1.0
    )
    return guess + inward * np.clip(smooth_offsets(found, trust), -REACH * eye, furthest)


def _shows_teeth(image: NDArray[np.uint8], lips: Lips, gap: float) -> bool:
    """Whether something bright is seen between the lips of a mouth that is hardly open."""
    import cv2

    eye = lips.eye_distance
    if gap < NARROW_GAP * eye:
        return False
    u, reach = np.linspace(-0.5, 0.5, 41), gap / 2 + 0.025 * eye
    middle = (lips.curve(lips.upper_inner, u) + lips.curve(lips.lower_inner, u)) / 2
    y = middle[None, :] + np.arange(-reach, reach, STEP_PX)[:, None]
    local = np.stack([np.broadcast_to(u, y.shape) * lips.half_width, y], axis=-1)
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.float32)
    at = lips.to_image(local.astype(np.float32)) + lips.origin
    profile = sample(grey, at).mean(axis=1)
    before = np.minimum.accumulate(profile)
    after = np.minimum.accumulate(profile[::-1])[::-1]
    stripe = float((profile - np.maximum(before, after)).max())
    return stripe > TEETH_BRIGHTER * float(profile.mean())


def _darkest(image: NDArray[np.uint8], lips: Lips, u: Array, guess: Array) -> Array:
    """The seam of a closed mouth: the darkest path along it."""
    import cv2

    eye = lips.eye_distance
    offsets = np.arange(-REACH * eye, REACH * eye + STEP_PX, STEP_PX)
    y = guess[None, :] + offsets[:, None]
    local = np.stack([np.broadcast_to(u, y.shape) * lips.half_width, y], axis=-1)
    at = lips.to_image(local.astype(np.float32)) + lips.origin
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.float32)
    shades = sample(grey, at)
    dark = np.asarray(np.median(shades, axis=0) - shades)
    prior = (offsets[:, None] / (REACH * eye)) ** 2
    path = best_path(dark - 0.5 * float(dark.std()) * prior)
    trust = np.clip(dark[path, np.arange(len(u))] / (dark.max() + 1e-6), 0.05, 1.0)
    return guess + smooth_offsets(offsets[path], trust)


def _with_slit(lips: Lips, u: Array, upper: Array, lower: Array) -> Lips:
    """`lips` with these inner contours; the outer ones stay outside of them."""
    grid = np.linspace(-CURVE_REACH, CURVE_REACH, CURVE_SAMPLES)
    middle = (lips.upper_inner + lips.lower_inner) / 2
    # The corners move along with the ends of the slit, and the cheeks beyond them less and less.
    moved = np.interp(grid, u, (upper + lower) / 2 - np.interp(u, grid, middle))
    new_middle = middle + moved * np.exp(-((np.clip(np.abs(grid) - 1.0, 0.0, None) / 0.4) ** 2))
    inside = np.clip((1.02 - np.abs(grid)) / 0.10, 0.0, 1.0)
    half_gap = np.interp(grid, u, np.maximum(lower - upper, 0.0) / 2) * inside
    upper_inner = (new_middle - half_gap).astype(np.float32)
    lower_inner = (new_middle + half_gap).astype(np.float32)
    rim = 0.01 * lips.eye_distance * np.clip(1.0 - np.abs(grid), 0.0, 1.0).astype(np.float32)
    return replace(
        lips,
        upper_inner=upper_inner,
        lower_inner=lower_inner,
        upper_outer=np.minimum(lips.upper_outer, upper_inner - rim),
        lower_outer=np.maximum(lips.lower_outer, lower_inner + rim),
    )
