"""Where the lips of a portrait are: contours as curves in a frame that lies along the mouth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.face import points
from halfsecond.models.face.portrait import Portrait

Array = NDArray[np.floating]

CURVE_REACH = 4.0
"""Curves are known this many half widths of the mouth to either side of its middle."""
CURVE_SAMPLES = 801


@dataclass(frozen=True)
class Lips:
    """Contours in the mouth's own frame: x along the mouth, y down the face, in pixels.

    A curve gives y for u, the distance from the middle of the mouth in half widths. Beyond the
    corners the four lip curves run on as one line.
    """

    origin: Array
    """(2,) the middle between the corners, in pixels of the portrait."""
    along: Array
    """(2,) unit vector from the left corner to the right one."""
    half_width: float
    eye_distance: float
    upper_outer: Array
    upper_inner: Array
    lower_inner: Array
    lower_outer: Array
    chin: Array
    """The lower outline of the face."""
    nose_y: float
    """Where the upper lip ends: the base of the nose."""
    edge_u: float
    """Where the face ends sideways, at the height of the mouth."""

    @property
    def gap(self) -> Array:
        """Distance of the inner contours along the mouth; 0 where it is closed."""
        return self.lower_inner - self.upper_inner

    def to_local(self, xy: Array) -> Array:
        """(..., 2) pixels of the portrait as pixels of the mouth's frame."""
        return np.asarray((xy - self.origin) @ self._turn.T, np.float32)

    def to_image(self, vectors: Array) -> Array:
        """(..., 2) directions of the mouth's frame as directions in the portrait."""
        return np.asarray(vectors @ self._turn, np.float32)

    def curve(self, curve: Array, u: Array) -> Array:
        """The values of one of the curves at `u`."""
        grid = np.linspace(-CURVE_REACH, CURVE_REACH, CURVE_SAMPLES)
        return np.interp(u, grid, curve).astype(np.float32)

    @property
    def _turn(self) -> Array:
        x, y = self.along
        return np.array([[x, y], [-y, x]], np.float32)


def find_lips(portrait: Portrait) -> Lips:
    """The lips of the portrait, from its landmarks."""
    flat = portrait.landmarks[:, :2].astype(np.float32)
    left, right = flat[points.INNER_LEFT], flat[points.INNER_RIGHT]
    width = float(np.hypot(*(right - left)))
    along = ((right - left) / width).astype(np.float32)
    frame = Lips(
        origin=((left + right) / 2).astype(np.float32),
        along=along,
        half_width=width / 2,
        eye_distance=portrait.eye_distance_px,
        **dict.fromkeys(
            ("upper_outer", "upper_inner", "lower_inner", "lower_outer", "chin"),
            np.zeros(CURVE_SAMPLES, np.float32),
        ),
        nose_y=0.0,
        edge_u=2.0,
    )
    local = frame.to_local(flat)
    edges = local[[points.LEFT_EDGE, points.RIGHT_EDGE], 0] / frame.half_width
    return _with_curves(frame, local, float(np.abs(edges).mean()))


def _with_curves(frame: Lips, local: Array, edge_u: float) -> Lips:
    half = frame.half_width
    outer_left, outer_right = local[points.MOUTH_LEFT], local[points.MOUTH_RIGHT]
    # One line carries on from the corners, level: cheeks have no slit.
    tail = [(-CURVE_REACH, outer_left[1]), (CURVE_REACH, outer_right[1])]

    def lip(indices: Sequence[int]) -> Array:
        body = [(x / half, y) for x, y in local[list(indices)]]
        corners = [(outer_left[0] / half, outer_left[1]), (outer_right[0] / half, outer_right[1])]
        return _smooth_curve([*body, *corners, *tail])

    upper_inner, lower_inner = lip(points.UPPER_LIP_INNER), lip(points.LOWER_LIP_INNER)
    middle = (upper_inner + lower_inner) / 2
    upper_inner = np.minimum(upper_inner, middle)
    lower_inner = np.maximum(lower_inner, middle)
    jaw = [(x / half, y) for x, y in local[list(points.JAW_LINE)]]
    return Lips(
        origin=frame.origin,
        along=frame.along,
        half_width=half,
        eye_distance=frame.eye_distance,
        upper_outer=np.minimum(lip(points.UPPER_LIP_OUTER), upper_inner),
        upper_inner=upper_inner,
        lower_inner=lower_inner,
        lower_outer=np.maximum(lip(points.LOWER_LIP_OUTER), lower_inner),
        chin=_smooth_curve([*jaw, (-CURVE_REACH, jaw[0][1]), (CURVE_REACH, jaw[-1][1])]),
        nose_y=float(local[points.NOSE_BASE, 1]),
        edge_u=edge_u,
    )


def _smooth_curve(knots: Sequence[tuple[float, float]]) -> Array:
    """A curve without overshoot along the knots, sampled; knots may come in any order."""
    ordered = sorted(knots)
    grid = np.linspace(-CURVE_REACH, CURVE_REACH, CURVE_SAMPLES)
    lines = np.interp(grid, [u for u, _ in ordered], [y for _, y in ordered])
    # Landmarks of the lips are 0.2 apart: rounding their corners over half of that loses nothing.
    round_off = np.hanning(21)
    padded = np.pad(lines, 10, mode="edge")
    return np.convolve(padded, round_off / round_off.sum(), mode="valid").astype(np.float32)
