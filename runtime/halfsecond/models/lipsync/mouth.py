"""The shape of a mouth as a few numbers, independent of whose mouth it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CHANNELS = ("jaw", "width", "upper", "lower", "press", "round")
"""Order of `MouthPose.as_array`."""


@dataclass(frozen=True)
class MouthPose:
    """What jaw and lips do; all zero is the mouth at rest, closed."""

    jaw: float = 0.0
    """0 closed to 1 as wide as speech opens it."""
    width: float = 0.0
    """-1 drawn together to 1 spread."""
    upper: float = 0.0
    """Upper lip: 1 raised off the teeth, -1 lowered over them."""
    lower: float = 0.0
    """Lower lip: 1 drawn down off the teeth, -1 raised to the upper teeth (as in f)."""
    press: float = 0.0
    """0 to 1: lips pressed together (as in m)."""
    round: float = 0.0
    """0 to 1: lips pushed forward into a ring (as in u)."""

    @classmethod
    def from_array(cls, values: NDArray[np.floating]) -> MouthPose:
        """The pose of (6,) values in the order of `CHANNELS`, clipped to their ranges."""
        jaw, width, upper, lower, press, rounding = (float(v) for v in values)
        return cls(
            jaw=min(max(jaw, 0.0), 1.0),
            width=min(max(width, -1.0), 1.0),
            upper=min(max(upper, -1.0), 1.0),
            lower=min(max(lower, -1.0), 1.0),
            press=min(max(press, 0.0), 1.0),
            round=min(max(rounding, 0.0), 1.0),
        )

    def as_array(self) -> NDArray[np.float32]:
        """(6,) float32 in the order of `CHANNELS`."""
        return np.array([getattr(self, name) for name in CHANNELS], np.float32)

    @property
    def opening(self) -> float:
        """How far the lips are apart, 0 (closed) to 1 (wide open)."""
        apart = self.jaw + 0.19 * self.upper + 0.21 * self.lower + 0.19 * self.round
        return min(max(apart * (1.0 - self.press), 0.0), 1.0)


CLOSED = MouthPose()
