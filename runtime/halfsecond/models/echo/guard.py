"""What AEC3 leaves of the echo is not taken for the visitor, nor the visitor for an echo."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.echo.path import LOUD_DBFS, EchoPath

FRAME_S = 0.01
MAX_LAG_FRAMES = 52
"""The longest echo that `EchoPath` finds, in frames."""
LEARNING_S = 1.0
"""Of played sound, until AEC3 has learned the room: until then it takes too little away."""
AGAIN_S = 0.5
"""The same when the echo's delay has changed, as it may with every answer."""
CHANGED_S = 0.002
LEARNING_DB, LEARNED_DB = 3.0, -6.0
"""How loud what is left must be to be the visitor, against the echo as it came."""
DECAY_DB = 0.5
"""A frame: a room in which an echo dies away in 1.2 s, which is a hall."""
FAINT_DBFS = -58.0
"""An echo below this is left in: AEC3 takes more from the visitor than it is worth."""
FAINT_DB = 6.0
"""How much louder than a faint echo the visitor must be."""
SPEECH_DBFS = -22.0
"""Level of the reference while the face speaks, for the level of its echo."""
HELD_FRAMES = 10
"""The visitor is heard on through gaps this short, such as between two syllables."""


class EchoGuard:
    """Compares what is heard with the echo that is expected, frame by frame.

    - The microphone hears nothing of the loudspeaker (headphones, or a device that cancels echoes
      itself), or hardly anything: AEC3 is left out. It takes the visitor for an echo until it has
      learned that there is none, which was measured to take some 20 s of answers.
    - Nothing is known yet (some 0.1 s of the first answer): nobody but the face is heard.
    - Otherwise the visitor is who is louder than what AEC3 can have left of the echo.
    """

    def __init__(self) -> None:
        self._path = EchoPath()
        self._played_dbfs: deque[float] = deque([-120.0], maxlen=MAX_LAG_FRAMES + 3)
        self._echo_dbfs = -120.0
        """Of what is played, as it is heard now and dies away, without the path's gain."""
        self._to_learn_s = LEARNING_S
        self._lag_s = 0.0
        self._quiet_frames = HELD_FRAMES

    def push(self, microphone: NDArray[np.float32], reference: NDArray[np.float32]) -> None:
        """Takes (160,) of each as they came, before `judge`."""
        self._path.push(microphone, reference)
        self._played_dbfs.append(_dbfs(reference))
        self._echo_dbfs = max(self._loudest_now(), self._echo_dbfs - DECAY_DB)

    def _loudest_now(self) -> float:
        """The loudest of what was played when what is heard now began its way."""
        played = list(self._played_dbfs)[::-1]
        if self._path.state != "present":
            return max(played)
        lag = round(self._path.lag_s / FRAME_S)
        return max(played[max(0, lag - 2) : lag + 3], default=-120.0)

    def judge(
        self, heard: NDArray[np.float32], cleaned: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(160,) for the recogniser and for the decision who speaks, of a frame before and after
        AEC3."""
        path = self._path
        if path.state == "absent":
            self._to_learn_s = LEARNING_S
            return heard, heard
        if self._echo_dbfs <= LOUD_DBFS:
            return cleaned, cleaned
        if path.state == "unknown":
            return heard, np.zeros_like(heard)
        self._learn()
        is_faint = SPEECH_DBFS + path.gain_db < FAINT_DBFS
        best = heard if is_faint else cleaned
        is_visitor = self._is_visitor(_dbfs(best), self._least_db(is_faint=is_faint))
        return best, best if is_visitor else np.zeros_like(best)

    def _learn(self) -> None:
        """What AEC3 has still to learn, in time of played sound."""
        if abs(self._path.lag_s - self._lag_s) > CHANGED_S:
            self._lag_s = self._path.lag_s
            self._to_learn_s = max(self._to_learn_s, AGAIN_S)
        if self._played_dbfs[-1] > LOUD_DBFS:
            self._to_learn_s -= FRAME_S

    def _least_db(self, *, is_faint: bool) -> float:
        if is_faint:
            return FAINT_DB
        return LEARNING_DB if self._to_learn_s > 0 else LEARNED_DB

    def _is_visitor(self, level_dbfs: float, least_db: float) -> bool:
        is_louder = level_dbfs > self._echo_dbfs + self._path.gain_db + least_db
        self._quiet_frames = 0 if is_louder else self._quiet_frames + 1
        return self._quiet_frames < HELD_FRAMES


def _dbfs(samples: NDArray[np.float32]) -> float:
    return float(10 * np.log10(np.mean(np.square(samples)) + 1e-12))
