"""Speech that comes in windows, as chunks that can be played one after the other.

The silence that a network puts around an utterance goes, and the pause that its punctuation asks
for comes, as `pauses.trimmed` has it for speech that is there as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import soxr
from numpy.typing import NDArray

from halfsecond.models.tts.levels import amplified
from halfsecond.models.tts.pauses import AUDIBLE, LEAD_S, TAIL_S, fade_in
from halfsecond.models.tts.phones import settle
from halfsecond.models.tts.voice import SPEECH_RATE_HZ, Phone, SpeechChunk

_SHORTEST_S = 0.005
"""A phone of which less than this falls into a chunk is left to its neighbour."""


@dataclass
class SpeechStream:
    """One utterance on its way to the listener.

    rate_hz: of what comes in. phones: of the whole utterance. pause_s: of silence behind it.
    text: what it says; the first chunk carries it.
    """

    rate_hz: int
    gain: float
    phones: Sequence[Phone]
    pause_s: float
    text: str
    _waiting: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    _at: int = 0
    """Of the utterance, the sample that the waiting ones begin with."""
    _is_heard: bool = False

    def __post_init__(self) -> None:
        self._resampler = soxr.ResampleStream(self.rate_hz, SPEECH_RATE_HZ, 1, dtype="float32")

    def push(self, samples: NDArray[np.float32], *, is_last: bool) -> SpeechChunk | None:
        """What can be played now; None while nothing is heard yet.

        Silence waits for what follows it: it may be the last.
        """
        at_rate = self._resampler.resample_chunk(samples.astype(np.float32), last=is_last)
        self._waiting = np.concatenate([self._waiting, amplified(at_rate, self.gain)])
        heard = np.flatnonzero(np.abs(self._waiting) > AUDIBLE)
        if not self._is_heard:
            if not heard.size:
                self._drop(len(self._waiting) - round(LEAD_S * SPEECH_RATE_HZ))
                return None
            heard = heard - self._begin(int(heard[0]))
        ready = int(heard[-1]) + 1 if heard.size else 0
        if is_last:
            return self._chunk(self._ending(ready))
        return self._chunk(self._taken(ready)) if ready else None

    def _begin(self, first: int) -> int:
        """Drops the silence before the first sound but for a moment, which fades in."""
        dropped = self._drop(first - round(LEAD_S * SPEECH_RATE_HZ))
        fade_in(self._waiting[: first - dropped])
        self._is_heard = True
        return dropped

    def _drop(self, count: int) -> int:
        count = max(count, 0)
        self._waiting = self._waiting[count:].copy()
        self._at += count
        return count

    def _taken(self, count: int) -> NDArray[np.float32]:
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return taken

    def _ending(self, ready: int) -> NDArray[np.float32]:
        """The rest, with the silence behind it faded out and as long as the pause."""
        rest = self._taken(ready + round(TAIL_S * SPEECH_RATE_HZ)).copy()
        fade_in(rest[ready:][::-1])
        return np.concatenate([rest, np.zeros(round(self.pause_s * SPEECH_RATE_HZ), np.float32)])

    def _chunk(self, samples: NDArray[np.float32]) -> SpeechChunk | None:
        start_s = self._at / SPEECH_RATE_HZ
        length_s = len(samples) / SPEECH_RATE_HZ
        inside = [
            Phone(p.symbol, max(p.start_s - start_s, 0.0), min(p.end_s - start_s, length_s))
            for p in self.phones
        ]
        phones = settle([p for p in inside if p.end_s - p.start_s > _SHORTEST_S], samples)
        self._at += len(samples)
        text, self.text = self.text, ""
        return SpeechChunk(samples, text, phones) if len(samples) else None
