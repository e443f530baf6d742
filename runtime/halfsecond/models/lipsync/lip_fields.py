"""How skin and lips move with each part of a mouth pose, as two layers of displacement fields.

The upper layer is the face above the slit of the mouth, the lower one the face below it; beyond
the corners both agree. Each layer is smooth across the slit, so that neither tears.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.lipsync.lips import Lips
from halfsecond.models.lipsync.warp import Grid, smooth_step

Array = NDArray[np.floating]

FIELDS = ("rest", "jaw", "wide", "narrow", "upper", "lower", "press", "round")
"""Order of the fields; "rest" is always on."""

# Shares of the eye distance (outer corners) or of the mouth, tried on stills of several portraits.
JAW_DROP = 0.16
WIDEN = 0.035
NARROW = 0.36
"""Of half the mouth's width."""
UPPER_RAISE = 0.030
LOWER_DROP = 0.034
ROUND_GAP = 0.030
"""Rounded lips leave a small ring open in the middle."""
CORNER_SHARE = 0.30
"""Of the jaw's drop that the corners follow."""
CHIN_SHARE = 0.85
NECK_LENGTH = 0.75
"""Below the chin, in eye distances, the drop of the jaw has faded."""
REST_UPPER_SHARE = 0.52
"""Of a smile's gap that the upper lip closes; the lower one does the rest."""


class _Places:
    """Coordinates of grid cells relative to the lips; every field is a formula of these."""

    def __init__(self, lips: Lips, grid: Grid) -> None:
        local = lips.to_local(grid.centres())
        self.x, self.y = local[..., 0], local[..., 1]
        self.u = (self.x / lips.half_width).astype(np.float32)
        self.upper_outer = lips.curve(lips.upper_outer, self.u)
        self.upper_inner = lips.curve(lips.upper_inner, self.u)
        self.lower_inner = lips.curve(lips.lower_inner, self.u)
        self.lower_outer = lips.curve(lips.lower_outer, self.u)
        self.seam = (self.upper_inner + self.lower_inner) / 2
        self.chin = lips.curve(lips.chin, self.u)
        self.gap = np.maximum(self.lower_inner - self.upper_inner, 0.0)


def lip_fields(lips: Lips, grid: Grid) -> tuple[Array, Array]:
    """The upper and the lower layer, each (fields, rows, columns, 2) in pixels of the portrait."""
    at = _Places(lips, grid)
    pairs = [
        _rest(lips, at),
        _jaw(lips, at),
        _both(_sideways(lips, at, WIDEN * lips.eye_distance)),
        _both(_narrow(lips, at)),
        (_vertical(at, -UPPER_RAISE * lips.eye_distance * _bow(at.u) * _on_upper(lips, at)), None),
        (None, _vertical(at, LOWER_DROP * lips.eye_distance * _bow(at.u) * _on_lower(at))),
        _press(lips, at),
        _round(lips, at),
    ]
    fade = _fade(grid)[..., None]
    nothing = np.zeros((*at.u.shape, 2), np.float32)
    upper = [nothing if up is None else up * fade for up, _ in pairs]
    lower = [nothing if low is None else low * fade for _, low in pairs]
    return lips.to_image(np.stack(upper)), lips.to_image(np.stack(lower))


def _rest(lips: Lips, at: _Places) -> tuple[Array, Array]:
    """Closes a smile's gap and lets its corners go a little."""
    openness = np.float32(min(1.0, float(at.gap.max()) / (0.07 * lips.eye_distance)))
    corner = _corner(lips, at)
    relax_x = -0.09 * lips.half_width * openness * _inward(lips, at, 0.30)
    relax_y = 0.030 * lips.eye_distance * openness * corner
    relax_y = relax_y + 0.15 * _flattened(lips, at)
    upper = relax_y + REST_UPPER_SHARE * at.gap * _on_upper(lips, at)
    lower = relax_y - (1.0 - REST_UPPER_SHARE) * at.gap * _on_lower(at, reach=0.95)
    return _field(relax_x, upper), _field(relax_x, lower)


def _jaw(lips: Lips, at: _Places) -> tuple[Array, Array]:
    drop = JAW_DROP * lips.eye_distance
    follow = CORNER_SHARE * drop * _corner(lips, at) + 0.25 * _flattened(lips, at)
    opening = np.clip(1.0 - (at.u / 0.94) ** 2, 0.0, None) ** 0.72
    chin = CHIN_SHARE * (1.0 - smooth_step(0.2, 1.0, np.abs(at.u) / lips.edge_u))
    down = smooth_step(
        0.0, 1.0, (at.y - at.lower_inner) / np.maximum(at.chin - at.lower_inner, 1.0)
    )
    neck = 1.0 - smooth_step(0.0, 1.0, (at.y - at.chin) / (NECK_LENGTH * lips.eye_distance))
    lower = drop * (opening * (1.0 - down) + chin * down) * neck
    # An open mouth is a little narrower than a closed one.
    inward = -0.11 * lips.half_width * _inward(lips, at, 0.35)
    return _field(inward, follow), _field(inward, lower + follow * (1.0 - opening))


def _press(lips: Lips, at: _Places) -> tuple[Array, Array]:
    """Lips roll in: their outer contours come nearer while the slit stays where it is."""
    upper = 0.30 * _thickening(lips, at, is_upper=True)
    lower = -0.28 * _thickening(lips, at, is_upper=False)
    inward = -0.03 * lips.half_width * _inward(lips, at, 0.25)
    return _field(inward, upper), _field(inward, lower)


def _round(lips: Lips, at: _Places) -> tuple[Array, Array]:
    """Lips come forward: they look thicker, most so in the middle, and the skin above follows."""
    bow = _bow(at.u)
    ring = ROUND_GAP * lips.eye_distance * np.clip(1.0 - (at.u / 0.75) ** 2, 0.0, None)
    upper = -0.42 * bow * _thickening(lips, at, is_upper=True)
    lower = 0.34 * bow * _thickening(lips, at, is_upper=False)
    upper = upper - 0.35 * ring * _on_upper(lips, at)
    lower = lower + 0.65 * ring * _on_lower(at)
    return _field(np.zeros_like(at.u), upper), _field(np.zeros_like(at.u), lower)


def _thickening(lips: Lips, at: _Places, *, is_upper: bool) -> Array:
    """Pixels from the slit into the lip, fading in the skin beyond it."""
    if is_upper:
        depth = np.clip(at.upper_inner - at.y, 0.0, at.upper_inner - at.upper_outer)
        return (depth * _on_upper(lips, at)).astype(np.float32)
    depth = np.clip(at.y - at.lower_inner, 0.0, at.lower_outer - at.lower_inner)
    return (depth * _on_lower(at)).astype(np.float32)


def _sideways(lips: Lips, at: _Places, reach: float) -> Array:
    return _field(reach * _inward(lips, at, 0.42), np.zeros_like(at.u))


def _narrow(lips: Lips, at: _Places) -> Array:
    drawn = -NARROW * lips.half_width * _inward(lips, at, 0.42)
    return _field(drawn, 0.5 * _flattened(lips, at))


def _flattened(lips: Lips, at: _Places) -> Array:
    """What brings the line of the lips down to the height of its middle: a smile goes away."""
    seam = (lips.upper_inner + lips.lower_inner) / 2
    rise = lips.curve(seam, np.zeros(1)) - lips.curve(seam, np.clip(at.u, -1.0, 1.0))
    fading = np.exp(-((np.clip(np.abs(at.u) - 1.0, 0.0, None) / 0.5) ** 2))
    return np.maximum(rise, 0.0) * fading * _band(lips, at, 0.30)


def _on_upper(lips: Lips, at: _Places) -> Array:
    """1 on the upper lip and below it, 0 from the base of the nose up."""
    room = np.maximum(at.upper_outer - lips.nose_y, 0.08 * lips.eye_distance)
    return 1.0 - smooth_step(0.0, 1.0, (at.upper_outer - at.y) / room)


def _on_lower(at: _Places, reach: float = 0.8) -> Array:
    """1 on the lower lip and above it, 0 from `reach` of the way to the chin's edge down."""
    room = np.maximum(reach * (at.chin - at.lower_outer), 1.0)
    return 1.0 - smooth_step(0.0, 1.0, (at.y - at.lower_outer) / room)


def _corner(lips: Lips, at: _Places) -> Array:
    """1 at the corners of the mouth, 0 in its middle and away from it."""
    aside = np.exp(-(((np.abs(at.u) - 1.0) / 0.38) ** 2))
    return (aside * _band(lips, at, 0.24)).astype(np.float32)


def _band(lips: Lips, at: _Places, height: float) -> Array:
    """1 along the mouth, falling off above and below over `height` eye distances."""
    return np.exp(-(((at.y - at.seam) / (height * lips.eye_distance)) ** 2)).astype(np.float32)


def _inward(lips: Lips, at: _Places, height: float) -> Array:
    """`_across` along the mouth, falling off over `height` eye distances; noses stay as wide."""
    aside = np.clip((np.abs(at.x) / lips.eye_distance - 0.10) / 0.16, 0.0, 1.0)
    above = smooth_step(-0.06, 0.06, (lips.nose_y - at.y) / lips.eye_distance)
    return _across(at.u) * _band(lips, at, height) * (1.0 - 0.9 * above * (1.0 - aside))


def _across(u: Array) -> Array:
    """-1 at the left corner, 1 at the right one, in proportion between, fading in the cheeks."""
    beyond = np.clip(np.abs(u) - 1.0, 0.0, None)
    return (np.clip(u, -1.0, 1.0) * np.exp(-((beyond / 0.75) ** 2))).astype(np.float32)


def _bow(u: Array) -> Array:
    return np.asarray(np.clip(1.0 - u**2, 0.0, None), np.float32)


def _fade(grid: Grid) -> Array:
    """1 inside, 0 at the grid's edge: what moves must not leave a seam to what does not."""
    rows = np.minimum(np.arange(grid.rows), np.arange(grid.rows)[::-1])
    columns = np.minimum(np.arange(grid.columns), np.arange(grid.columns)[::-1])
    margin_y, margin_x = max(2.0, 0.14 * grid.rows), max(2.0, 0.10 * grid.columns)
    down, across = smooth_step(0.0, 1.0, rows / margin_y), smooth_step(0.0, 1.0, columns / margin_x)
    return (down[:, None] * across[None, :]).astype(np.float32)


def _vertical(at: _Places, dy: Array) -> Array:
    return _field(np.zeros_like(at.u), dy)


def _field(dx: Array, dy: Array) -> Array:
    return np.stack([dx, dy], axis=-1).astype(np.float32)


def _both(field: Array) -> tuple[Array, Array]:
    return field, field
