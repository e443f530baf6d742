"""Whether there are lips where the landmark model puts a mouth.

It puts one wherever one would be: on hands, on masks, on what hair hides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.face import points
from halfsecond.models.face.finder import Face

Array = NDArray[np.float64]

REACH = 0.26
"""How far above and below the line of the lips is looked, in eye distances."""
ACROSS, ALONG = 105, 41
"""Rows and columns of what is looked at."""
AT_LIPS, NEAR_LIPS, BESIDE_LIPS = 0.055, 0.17, 0.24
"""From the line of the lips, in eye distances: lips; they and their edges; skin beyond them."""
MARGIN = 6
"""Columns at each corner of the mouth that shadows reach."""
FADED = 1.2
"""Variation of Lab's a below which a picture has no colour to judge by."""
UPPER_FACE = (50, 280, 101, 330, 118, 347, 6, 197, 151)
"""Cheekbones, bridge of the nose and forehead."""
LOWER_FACE = (199, 175, 200, 194, 418, 140, 369, 212, 432)
"""Chin and what is beside it."""


@dataclass(frozen=True)
class MouthSight:
    """What is seen of a mouth."""

    contrast: float
    """What stands out along the line between the lips: a seam, red lips, teeth; relative to the
    brightness."""
    likeness: float
    """-1 to 1: how alike redness is left and right, and everywhere along the mouth, as it is on
    lips and not on fingers. 1 where a picture has no colour."""
    redder: float
    """How much redder it is there than above and below, in Lab's a."""
    other_colour: float
    """How different the colours of the lower and the upper face are, in Lab's a and b; 0 where the
    lower one is darker, as beards are."""

    @classmethod
    def of(cls, face: Face, image: NDArray[np.uint8]) -> MouthSight:
        """What is seen of the face's mouth in `image`, (h, w, 3) RGB."""
        seen = _along_the_lips(face, image)
        if seen is None:
            return cls(0.0, 0.0, 0.0, 0.0)
        near = np.abs(_distances()) < NEAR_LIPS
        inner = seen[near][:, MARGIN:-MARGIN]
        light, red = inner[..., 0], inner[..., 1]
        profiles = [_without_slope(values.mean(axis=1)) for values in (light, red)]
        brightness = max(float(light.mean()), 5.0)
        at, beside = _at_and_beside(seen[..., 1])
        return cls(
            contrast=float(sum(profile.std() for profile in profiles)) / brightness,
            likeness=_likeness(seen[near][..., 1]),
            redder=float(at.mean() - beside.mean()),
            other_colour=_other_colour(face, image),
        )


def _distances() -> Array:
    return np.linspace(-REACH, REACH, ACROSS)


def _along_the_lips(face: Face, image: NDArray[np.uint8]) -> Array | None:
    """(ACROSS, ALONG, 3) Lab: rows follow the line between the lips; None outside the picture."""
    import cv2

    flat, eye = face.landmarks[:, :2], face.eye_distance_px
    along = (flat[points.RIGHT_EYE_OUTER] - flat[points.LEFT_EYE_OUTER]) / eye
    down = np.array([-along[1], along[0]])
    line = (flat[list(points.UPPER_LIP_INNER)] + flat[list(points.LOWER_LIP_INNER)]) / 2
    places = np.linspace(0, len(line) - 1, ALONG)
    columns = np.stack([np.interp(places, np.arange(len(line)), line[:, i]) for i in (0, 1)], 1)
    at = columns[None] + (_distances() * eye)[:, None, None] * down
    low = np.floor(at.reshape(-1, 2).min(axis=0) - 2).astype(int).clip(0)
    high = np.ceil(at.reshape(-1, 2).max(axis=0) + 3).astype(int)
    part = np.ascontiguousarray(image[low[1] : high[1], low[0] : high[0]])
    if not part.size:
        return None
    lab = cv2.cvtColor(part.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    lab = cv2.GaussianBlur(lab, (0, 0), 0.012 * eye)
    seen = cv2.remap(lab, (at - low).astype(np.float32), None, cv2.INTER_LINEAR)  # type: ignore[call-overload]
    return np.asarray(seen, np.float64)


def _at_and_beside(values: Array) -> tuple[Array, Array]:
    """The rows of the lips, and those of the skin above and below."""
    away = np.abs(_distances())
    inner = values[:, MARGIN:-MARGIN]
    return inner[away < AT_LIPS], inner[(away > NEAR_LIPS - 0.02) & (away < BESIDE_LIPS)]


def _likeness(red: Array) -> float:
    if red.std() < FADED:
        return 1.0
    mirrored = _correlation((red - red.mean()).ravel(), (red - red.mean())[:, ::-1].ravel())
    columns = (red - red.mean(axis=0))[:, MARGIN:-MARGIN]
    common = columns.mean(axis=1)
    agreeing = float(np.median([_correlation(column, common) for column in columns.T]))
    return (mirrored + agreeing) / 2


def _correlation(a: Array, b: Array) -> float:
    return float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-9))


def _other_colour(face: Face, image: NDArray[np.uint8]) -> float:
    upper, lower = (_colour(face, image, places) for places in (UPPER_FACE, LOWER_FACE))
    if lower[0] < upper[0] - 12.0:  # as far as a beard, not shade below the nose, darkens
        return 0.0
    return float(np.hypot(*(upper - lower)[1:]))


def _colour(face: Face, image: NDArray[np.uint8], places: tuple[int, ...]) -> Array:
    """(3,) Lab: the median of small patches."""
    import cv2

    height, width = image.shape[:2]
    reach = max(1, round(0.03 * face.eye_distance_px))
    at = np.round(face.landmarks[list(places), :2]).astype(int)
    at = np.clip(at, reach, [width - 1 - reach, height - 1 - reach])
    patches = [
        image[y - reach : y + reach + 1, x - reach : x + reach + 1].mean(axis=(0, 1)) for x, y in at
    ]
    lab = cv2.cvtColor(np.float32([patches]) / 255, cv2.COLOR_RGB2LAB)  # type: ignore[arg-type]
    return np.asarray(np.median(lab[0], axis=0), np.float64)


def _without_slope(values: Array) -> Array:
    at = np.linspace(-1.0, 1.0, len(values))
    return np.asarray(values - np.polynomial.Polynomial.fit(at, values, 1)(at))
