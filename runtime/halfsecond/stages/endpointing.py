"""Whether the visitor has finished, judged live while a silence lasts."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsecond.config import TurnConfig


class Endpointing:
    """Judges the silence after an utterance."""

    def __init__(
        self, config: TurnConfig, *, start: Callable[[Coroutine[Any, Any, None]], None]
    ) -> None:
        self._config = config
        self._start = start

    def paused(self, samples: NDArray[np.float32]) -> None:
        """The utterance so far, (n,) mono 16 kHz, is followed by a short silence."""

    def resumed(self) -> None:
        """The silence is over, or of no interest any more."""

    def is_over(self, silence_s: float, words: str | None) -> bool:
        """Whether a silence of this length after these words ends the turn."""
        del words
        return silence_s >= self._config.silence_s
