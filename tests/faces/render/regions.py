"""Where on the base mesh things are: hairline, beard, brows, cheeks; 1 inside, 0 outside.

All take (n, 3) points of MakeHuman's base mesh in decimetres. There the pupils are at
x = ±0.308, y = 7.284, the lips meet at y = 6.60, the chin is at 6.2, the top of the head at 8.49.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from faces.render.mesh import Floats

Region = Callable[[Floats], Floats]

HAIRLINE = (
    (0, 8.06), (22, 8.02), (34, 7.86), (46, 7.62), (54, 7.40), (58, 6.98), (70, 7.05),
    (78, 7.44), (112, 7.42), (128, 6.95), (150, 6.55), (180, 6.45),
)  # fmt: skip
"""Height of the hairline by the angle from the front, in degrees, around the head's axis."""


def scalp(points: Floats) -> Floats:
    """All that hair grows on, sideburns included; not the ears."""
    return _step(points[:, 1] - _hairline(points), 0.03) * (1 - ears(points))


def fringe_of_the_bald(points: Floats) -> Floats:
    """What baldness leaves: sides and back."""
    _, y, z = points.T
    top: Floats = _step(7.66 + 0.10 * (z < -0.2) - y, 0.05) * _step(
        0.62 - z + 0.5 * (y < 7.3), 0.05
    )
    top *= scalp(points)
    return top


def ears(points: Floats) -> Floats:
    """Both ears."""
    x, y, z = np.abs(points[:, 0]), points[:, 1], points[:, 2]
    inside = (np.hypot((y - 7.13) / 0.36, (z - 0.42) / 0.36) < 1) & (x > 0.69)
    return inside.astype(np.float64)


def lips(points: Floats) -> Floats:
    """Both lips and a little around them."""
    x, y, z = points.T
    inside: Floats = _step(1 - np.hypot(x / 0.29, (y - 6.605) / 0.125), 0.15) * (z > 1.2)
    return inside


def moustache(points: Floats) -> Floats:
    """Between nose and upper lip, drooping at the corners."""
    x, y, z = np.abs(points[:, 0]), points[:, 1], points[:, 2]
    below = 6.735 - 0.75 * x**2
    return (
        _step(y - below, 0.012)
        * _step(6.838 - 0.40 * np.maximum(x - 0.08, 0) - y, 0.015)
        * _step(0.36 - x, 0.03)
        * (z > 1.25)
    )


def beard(points: Floats) -> Floats:
    """Cheeks below a line from sideburn to mouth, chin and the neck's beginning."""
    x, y, z = np.abs(points[:, 0]), points[:, 1], points[:, 2]
    line = np.interp(z, [0.70, 0.95, 1.2, 1.42], [7.05, 6.86, 6.74, 6.66])
    below = _step(line - y, 0.05) * _step(y - np.interp(z, [0.7, 1.2], [6.25, 6.02]), 0.06)
    return below * _step(z - 0.62, 0.04) * (1 - lips(points)) * (x > -1)


def goatee(points: Floats) -> Floats:
    """Chin, and a strip to each corner of the mouth."""
    x = np.abs(points[:, 0])
    return beard(points) * _step(0.30 - x, 0.03) * (points[:, 2] > 1.0)


def brow(points: Floats) -> Floats:
    """Both brows."""
    x, y, z = np.abs(points[:, 0]), points[:, 1], points[:, 2]
    middle = np.interp(x, [0.08, 0.2, 0.38, 0.50, 0.6], [7.505, 7.53, 7.56, 7.54, 7.485])
    half = np.interp(x, [0.08, 0.14, 0.3, 0.45, 0.60], [0.022, 0.034, 0.030, 0.020, 0.006])
    along = _step(x - 0.085, 0.02) * _step(0.59 - x, 0.03)
    return _step(half - np.abs(y - middle), 0.014) * along * (z > 0.9)


def flush(points: Floats) -> Floats:
    """Cheeks, tip of the nose and ears: where skin is redder."""
    x, y, z = np.abs(points[:, 0]), points[:, 1], points[:, 2]
    cheek = np.exp(-(((x - 0.42) / 0.20) ** 2 + ((y - 6.93) / 0.18) ** 2)) * (z > 0.7)
    nose = np.exp(-((x / 0.15) ** 2 + ((y - 6.95) / 0.13) ** 2)) * (z > 1.3)
    chin = 0.5 * np.exp(-((x / 0.18) ** 2 + ((y - 6.3) / 0.12) ** 2)) * (z > 1.1)
    return np.clip(cheek + 0.8 * nose + chin + 0.7 * ears(points), 0, 1)


def under_eyes(points: Floats) -> Floats:
    """The darker, thinner skin of and below the lids."""
    x, y, z = np.abs(points[:, 0]), points[:, 1], points[:, 2]
    below = np.exp(-(((x - 0.29) / 0.17) ** 2 + ((y - 7.15) / 0.075) ** 2))
    above = 0.7 * np.exp(-(((x - 0.31) / 0.18) ** 2 + ((y - 7.37) / 0.06) ** 2))
    return np.clip(below + above, 0, 1) * (z > 1.0)


def wrinkled(points: Floats) -> Floats:
    """Forehead and the outer corners of the eyes."""
    x, y, z = np.abs(points[:, 0]), points[:, 1], points[:, 2]
    forehead = _step(y - 7.68, 0.06) * _step(8.05 - y, 0.08) * _step(0.55 - x, 0.1)
    corners = np.exp(-(((x - 0.60) / 0.09) ** 2 + ((y - 7.24) / 0.12) ** 2))
    return np.clip(forehead + corners, 0, 1) * (z > 0.8)


def face(points: Floats) -> Floats:
    """What a headscarf leaves free: 1 well inside, 0 at its edge, -1 well outside."""
    x, y, z = points.T
    inside = np.clip(8 * (1 - np.hypot(x / 0.635, (y - 7.08) / 0.86)), -1, 1)
    return np.where(z > 0.5, inside, -1.0)


def lower_face(points: Floats) -> Floats:
    """What a surgical mask covers."""
    x, y, z = np.abs(points[:, 0]), points[:, 1], points[:, 2]
    above = 7.06 - 0.28 * x
    return ((y < above) & (y > 6.12) & (z > 0.75) & (x < 0.66)).astype(np.float64)


def _hairline(points: Floats) -> Floats:
    x, _, z = points.T
    angle = np.degrees(np.arctan2(np.abs(x), z - 0.3))
    at, height = np.array(HAIRLINE).T
    # Nobody's hairline is drawn with a ruler.
    uneven = 0.035 * np.sin(23 * x + 1.3) * np.cos(17 * z) + 0.02 * np.sin(61 * x + 40 * z)
    line: Floats = np.interp(angle, at, height) + uneven
    return line


def _step(signed: Floats, softness: float) -> Floats:
    """0 below, 1 above zero, smoothly over `softness`."""
    share = np.clip(signed / softness + 0.5, 0, 1)
    result: Floats = share * share * (3 - 2 * share)
    return result
