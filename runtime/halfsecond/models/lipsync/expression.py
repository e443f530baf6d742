"""What a living face does by itself: it blinks, sways, breathes and looks, in human timing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LIFE_S = 24.0
"""After this long the same life begins again without a seam: a loop of it can be kept ready, and is
too long to be noticed."""
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
SWAY_CYCLES = ((1, 2), (3, 4), (5, 7))
"""Cycles of a life of the three waves that sway the head: least and most."""
NOD_RAD, NOD_SHIFT = 0.014, 0.010
"""How far it nods at full stress: an angle, and a way in eye distances."""
BREATHS = 6
"""Breaths of a life: 15 a minute, as people at rest take."""
FIXATION_S = (0.7, 2.4)
"""Eyes rest on a point for this long, then jump to another nearby."""
GAZE = (0.007, 0.003)
"""How far such points lie from the camera, sideways and up or down, in eye distances."""


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
    brow: float = 0.0
    """0 to 1 raised."""
    smile: float = 0.0
    """0 to 1: corners of the mouth and cheeks lifted."""
    gaze_x: float = 0.0
    """How far the irises are from where the portrait has them, in eye distances."""
    gaze_y: float = 0.0


STILL = ExpressionPose()


@dataclass(frozen=True)
class Liveliness:
    """What of it a face shows."""

    is_blinking: bool = True
    is_moving: bool = True
    """Head, breath and gaze."""
    is_expressive: bool = True
    """Brows, smile, and looks that go with what is said and heard."""

    @property
    def is_none(self) -> bool:
        """Whether everything but the mouth keeps still."""
        return not (self.is_blinking or self.is_moving or self.is_expressive)


LIVELY = Liveliness()
MOTIONLESS = Liveliness(is_blinking=False, is_moving=False, is_expressive=False)


class Expression:
    """The same seed gives the same life: what is shown depends on the time alone."""

    def __init__(
        self, *, seed: int = 0, is_on: bool = True, liveliness: Liveliness | None = None
    ) -> None:
        """is_on: False is short for a liveliness without anything."""
        self.seed = seed
        self.liveliness = liveliness or (LIVELY if is_on else MOTIONLESS)
        random = np.random.default_rng(seed)
        self._blinks = _blinks(random)
        self._fixations, self._gazes = _fixations(random)
        # Whole cycles of one life, each channel with its own: it repeats, and nobody sees how.
        cycles = [random.integers(low, high + 1, size=5) for low, high in SWAY_CYCLES]
        self._hz = np.stack(cycles) / LIFE_S
        self._phase = random.uniform(0, 2 * np.pi, size=(3, 5))

    @property
    def is_on(self) -> bool:
        """Whether anything but the mouth moves."""
        return not self.liveliness.is_none

    def at(self, t_s: float, *, stress: float = 0.0) -> ExpressionPose:
        """The pose at `t_s` seconds of the face's life; `stress`, 0 to 1, is nodded to."""
        t_s %= LIFE_S
        blink = self._blink(t_s) if self.liveliness.is_blinking else 0.0
        if not self.liveliness.is_moving:
            return ExpressionPose(blink=blink)
        waves = np.array([[0.5], [0.33], [0.17]]) * np.sin(2 * np.pi * self._hz * t_s + self._phase)
        yaw, pitch, roll, x, y = waves.sum(axis=0).tolist()
        gaze_x, gaze_y = self._gaze(t_s)
        return ExpressionPose(
            blink=blink,
            yaw_rad=YAW_RAD * yaw,
            pitch_rad=PITCH_RAD * pitch + NOD_RAD * stress,
            roll_rad=ROLL_RAD * roll,
            shift_x=SWAY * x,
            shift_y=SWAY * y + NOD_SHIFT * stress,
            breath=float(np.sin(2 * np.pi * BREATHS / LIFE_S * t_s)),
            gaze_x=gaze_x,
            gaze_y=gaze_y,
        )

    def _blink(self, t_s: float) -> float:
        return max((_lid(t_s - start) for start in self._blinks if start <= t_s), default=0.0)

    def _gaze(self, t_s: float) -> tuple[float, float]:
        x, y = self._gazes[int(np.searchsorted(self._fixations, t_s, side="right")) - 1]
        return float(x), float(y)


def _blinks(random: np.random.Generator) -> list[float]:
    """When the blinks of one life begin; the last one is over when the next life begins."""
    found = [float(random.uniform(0.8, 2.5))]
    while True:
        if random.random() < BLINK_DOUBLE:
            wait_s = CLOSE_S + HOLD_S + OPEN_S + random.uniform(0.05, 0.2)
        else:
            wait_s = BLINK_EVERY_S * np.exp(BLINK_SPREAD * random.standard_normal())
        if (following := found[-1] + float(wait_s)) > LIFE_S - 0.5:
            return found
        found.append(following)


def _fixations(
    random: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """When the eyes go elsewhere, from 0 on, and where to: (n, 2) eye distances."""
    waits = random.uniform(*FIXATION_S, size=int(LIFE_S / FIXATION_S[0]) + 1)
    times = np.concatenate([[0.0], np.cumsum(waits)])
    times = times[times < LIFE_S - FIXATION_S[0]]
    return times, random.uniform(-1, 1, size=(len(times), 2)) * np.array(GAZE)


def _lid(age_s: float) -> float:
    """Closure of the lid `age_s` seconds after a blink began."""
    if age_s < CLOSE_S:
        return _ease(age_s / CLOSE_S)
    if age_s < CLOSE_S + HOLD_S:
        return 1.0
    return 1.0 - _ease(min((age_s - CLOSE_S - HOLD_S) / OPEN_S, 1.0))


def _ease(x: float) -> float:
    return x * x * (3.0 - 2.0 * x)
