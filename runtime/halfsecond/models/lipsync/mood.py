"""What a face shows of the conversation: it listens, thinks, asks and greets, and eases between."""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.lipsync.expression import ExpressionPose

MoodName: TypeAlias = Literal["idle", "listening", "thinking", "speaking", "asking", "greeting"]

EASE_S = 0.14
"""Each of the two filters that lead from one mood to the next: brows are up after some 0.4 s."""
LOOK_S = 0.02
"""The same for the eyes, which jump: a saccade takes 30 to 50 ms."""
SETTLED = 1e-3


@dataclass(frozen=True)
class Mood:
    """What is added to the face's own life; the units of `ExpressionPose`."""

    brow: float = 0.0
    smile: float = 0.0
    pitch_rad: float = 0.0
    roll_rad: float = 0.0
    shift_y: float = 0.0
    gaze_x: float = 0.0
    gaze_y: float = 0.0

    def added_to(self, pose: ExpressionPose) -> ExpressionPose:
        """The pose of a face in this mood."""
        return replace(
            pose,
            brow=pose.brow + self.brow,
            smile=pose.smile + self.smile,
            pitch_rad=pose.pitch_rad + self.pitch_rad,
            roll_rad=pose.roll_rad + self.roll_rad,
            shift_y=pose.shift_y + self.shift_y,
            gaze_x=pose.gaze_x + self.gaze_x,
            gaze_y=pose.gaze_y + self.gaze_y,
        )


NEUTRAL = Mood()
_GAZE_FIELDS = 2

MOODS: dict[MoodName, Mood] = {
    "idle": NEUTRAL,
    # Whoever listens comes a little nearer, with a trace of a smile.
    "listening": Mood(brow=0.18, smile=0.12, pitch_rad=0.008, roll_rad=0.008, shift_y=0.006),
    # People look away while they think, mostly up and aside (Glenberg et al. 1998).
    "thinking": Mood(brow=0.30, pitch_rad=-0.008, roll_rad=-0.006, gaze_x=0.022, gaze_y=-0.010),
    "speaking": NEUTRAL,
    "asking": Mood(brow=0.85, smile=0.15, pitch_rad=-0.006, roll_rad=0.010),
    "greeting": Mood(brow=0.35, smile=1.0, pitch_rad=0.004),
}


class Composure:
    """Time lived, and the mood on its way from one state to the next. The same calls, the same
    face."""

    def __init__(self, *, fps: float, idle_fps: float = 0.0, is_expressive: bool = True) -> None:
        """fps: of speech. idle_fps: at which resting pictures are asked for; 0: the same.

        is_expressive: False stays neutral in every mood.
        """
        self._speech_s, self._idle_s = 1.0 / fps, 1.0 / (idle_fps or fps)
        self._is_expressive = is_expressive
        self._first = np.zeros(len(astuple(NEUTRAL)))
        self._second = np.zeros_like(self._first)
        self._lived_s = 0.0
        self.name: MoodName = "idle"
        """The mood that the face goes into; set it at any time."""

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing is left of any mood."""
        return self.name == "idle" and self.is_neutral

    @property
    def is_neutral(self) -> bool:
        """Whether the face shows nothing but its own life now."""
        return bool(max(np.abs(self._first).max(), np.abs(self._second).max()) < SETTLED)

    def step(self, *, is_idle: bool) -> tuple[float, Mood]:
        """The time of the next picture, in seconds of the face's life, and its mood."""
        t_s, step_s = self._lived_s, self._idle_s if is_idle else self._speech_s
        self._lived_s = t_s + step_s
        if not self._is_expressive:
            return t_s, NEUTRAL
        if self.is_at_rest:
            self._first[:] = self._second[:] = 0.0
            return t_s, NEUTRAL
        share = _shares(step_s)
        target = np.array(astuple(MOODS[self.name]))
        self._first += (target - self._first) * share
        self._second += (self._first - self._second) * share
        return t_s, Mood(*self._second.tolist())


def _shares(step_s: float) -> NDArray[np.float64]:
    """How much of its way each field of a mood makes in one step."""
    shares = np.full(len(astuple(NEUTRAL)), 1.0 - np.exp(-step_s / EASE_S))
    shares[-_GAZE_FIELDS:] = 1.0 - np.exp(-step_s / LOOK_S)
    return shares
