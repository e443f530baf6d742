"""The microphone of one session without what its own loudspeaker plays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.echo.canceller import Cleaned, EchoCanceller
from halfsecond.stages.mic_clock import MicClock
from halfsecond.stages.played_audio import PlayedAudio
from halfsecond.timeline import Now


class EchoCancellation:
    """Lays what was played beside what is heard, by their times, and lets the canceller subtract.

    played: to be told of every packet, pause and stop of the session's answers.
    """

    def __init__(self, canceller: EchoCanceller, *, now: Now) -> None:
        self.played = PlayedAudio(now)
        self._canceller = canceller
        self._clock = MicClock()

    @property
    def latency_s(self) -> float:
        """How much later the cleaned samples are than those of the microphone."""
        return self._canceller.latency_samples / 16_000

    def clean(self, samples: NDArray[np.float32], arrived_s: float | None) -> Cleaned:
        """The next block of the microphone, (n,) mono 16 kHz, which came at `arrived_s`.

        None: it did not come from there, as the silence that is put after the end of the audio.
        """
        if arrived_s is None:
            return self._canceller.process(samples, np.zeros_like(samples))
        start_s = self._clock.arrived(len(samples), arrived_s)
        return self._canceller.process(samples, self.played.read(start_s, len(samples)))
