"""What a living face does without speaking: it blinks, sways and breathes, in human timing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BLINK_EVERY_S = 3.6
"""Median time between blinks of people in conversation (about 17 a minute)."""
BLINK_SPREAD = 0.45
"""Standard deviation of the logarithm of that time: intervals of 1.5 to 9 s are usual."""
BLINK_DOUBLE = 0.12
"""Part of the blinks that another one follows at once."""
CLOSE_S, HOLD_S, OPEN_S = 0.08, 0.04, 0.17
"""A spontaneous blink: lids fall faster than they rise."""
YAW_RAD, PITCH_RAD, ROLL_RAD = 0.030, 0.016, 0.012
"""Amplitude of the head's sway; larger ones bend straight lines behind the head."""
SWAY = 0.012
"""Amplitude of its drift, in eye distances."""
NOD_RAD, NOD_SHIFT = 0.014, 0.010
"""How far it nods at full stress: an angle, and a way in eye distances."""
BREATHS_HZ = 0.23


@dataclass(frozen=True)
class ExpressionPose:
    """Lids, head and shoulders at one instant; all zero is the portrait as it was taken."""

    blink: float = 0.0
    """0 open to 1 closed."""
    yaw_rad: float = 0.0
    pitch_rad: float = 0.0
    roll_rad: float = 0.0
    shift_x: float = 0.0
    """Drift of the head, in eye distances."""
    shift_y: float = 0.0
    breath: float = 0.0
    """-1 breathed out to 1 breathed in."""


STILL = ExpressionPose()


class Expression:
    """The same seed gives the same life: what is shown depends on the time alone."""

    def __init__(self, *, seed: int = 0, is_on: bool = True) -> None:
        self.is_on = is_on
        self._random = np.random.default_rng(seed)
        self._blinks: list[float] = [self._random.uniform(0.8, 2.5)]
        # Three slow waves a channel whose periods share no common multiple do not repeat visibly.
        self._hz = self._random.uniform(
            [[0.05], [0.11], [0.21]], [[0.09], [0.17], [0.33]], size=(3, 5)
        )
        self._phase = self._random.uniform(0, 2 * np.pi, size=(3, 5))

    def at(self, t_s: float, *, stress: float = 0.0) -> ExpressionPose:
        """The pose at `t_s` seconds since the driver was opened; `stress`, 0 to 1, is nodded to."""
        if not self.is_on:
            return STILL
        waves = np.array([[0.5], [0.33], [0.17]]) * np.sin(2 * np.pi * self._hz * t_s + self._phase)
        yaw, pitch, roll, x, y = waves.sum(axis=0).tolist()
        return ExpressionPose(
            blink=self._blink(t_s),
            yaw_rad=YAW_RAD * yaw,
            pitch_rad=PITCH_RAD * pitch + NOD_RAD * stress,
            roll_rad=ROLL_RAD * roll,
            shift_x=SWAY * x,
            shift_y=SWAY * y + NOD_SHIFT * stress,
            breath=float(np.sin(2 * np.pi * BREATHS_HZ * t_s)),
        )

    def _blink(self, t_s: float) -> float:
        while self._blinks[-1] < t_s + 1.0:
            self._blinks.append(self._blinks[-1] + self._interval())
        recent = [start for start in self._blinks[-4:] if start <= t_s]
        return max((_lid(t_s - start) for start in recent), default=0.0)

    def _interval(self) -> float:
        if self._random.random() < BLINK_DOUBLE:
            return CLOSE_S + HOLD_S + OPEN_S + self._random.uniform(0.05, 0.2)
        return float(BLINK_EVERY_S * np.exp(BLINK_SPREAD * self._random.standard_normal()))


def _lid(age_s: float) -> float:
    """Closure of the lid `age_s` seconds after a blink began."""
    if age_s < CLOSE_S:
        return _ease(age_s / CLOSE_S)
    if age_s < CLOSE_S + HOLD_S:
        return 1.0
    return 1.0 - _ease(min((age_s - CLOSE_S - HOLD_S) / OPEN_S, 1.0))


def _ease(x: float) -> float:
    return x * x * (3.0 - 2.0 * x)
