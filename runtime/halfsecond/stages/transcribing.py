"""The words of one utterance, heard while it is spoken, so that its end costs only the tail."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import structlog
from numpy.typing import NDArray

from halfsecond.errors import HalfsecondError
from halfsecond.models.asr.growing import GrowingTranscript
from halfsecond.models.asr.recognizer import Transcript
from halfsecond.stages.asr import AsrRequest
from halfsecond.stages.stage import Cancel, StageHandle

log = structlog.get_logger(__name__)

RATE_HZ = 16_000
FIRST_S = 4.0
"""Audio before the first partial. Most questions are over by then: they are heard once, at their
end, in the same time and with the same words as without partials."""
INTERVAL_S = 1.0
"""New audio between partials."""


@dataclass(frozen=True)
class Hypothesis:
    """The best guess so far at the whole utterance."""

    text: str = ""
    heard_samples: int = 0
    """Of the utterance, from its beginning."""


class LiveTranscript:
    """The transcript of one utterance, from its first sample on. Belongs to one event loop.

    asr: the stage; it may be remote. Only the audio that is still needed is sent.
    """

    def __init__(
        self,
        asr: StageHandle[AsrRequest, Transcript],
        *,
        language: str | None,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._asr = asr
        self._language = language
        self._interval_s = interval_s
        self._growing = GrowingTranscript()
        self._partial: Cancel | None = None
        """Of the partial that is under way."""
        self._asked_samples = 0
        """Of the utterance, at the last attempt to hear it."""
        self._best = Hypothesis()

    @property
    def best(self) -> Hypothesis:
        """The latest hypothesis of everything that was heard; compare it with `same_words`."""
        return self._best

    @property
    def settled(self) -> str:
        """The words that no later hypothesis changes; empty in the first seconds."""
        return self._growing.settled

    def is_due(self, heard_samples: int) -> bool:
        """Whether a partial is worth its cost, for an utterance of that length so far.

        Ask only while somebody speaks: a partial takes less time than it takes to notice a pause,
        so that none is under way when the final is wanted.
        """
        window = heard_samples - self._growing.window.first_sample
        new = heard_samples - self._asked_samples
        return (
            self._partial is None
            and window >= FIRST_S * RATE_HZ
            and new >= self._interval_s * RATE_HZ
        )

    async def partial(self, samples: NDArray[np.float32]) -> None:
        """Hears the utterance so far, unless that is not due or the stage is busy.

        samples: (n,) mono 16 kHz from the beginning of the utterance. A fault of the stage is
        logged only: the final will meet it again.
        """
        if not self.is_due(len(samples)):
            return
        self._asked_samples = len(samples)
        cancel = self._partial = Cancel()
        try:
            is_busy = (await self._asr.health()).queued > 0
            if not is_busy and not cancel.is_set():
                await self._hear(samples, cancel, has_times=True)
        except HalfsecondError as error:
            log.warning("partial transcript failed", error=str(error))
        finally:
            if self._partial is cancel:
                self._partial = None

    async def final(self, samples: NDArray[np.float32], cancel: Cancel) -> Transcript | None:
        """The whole transcript, or None when it was cancelled. Speech may go on afterwards.

        samples: (n,) mono 16 kHz from the beginning of the utterance to its end.

        Raises:
            StageError: the stage failed or went away.
            HalfsecondError: what the stage itself raised.
        """
        if self._partial is not None:
            self._partial.set()
            self._partial = None
        self._asked_samples = len(samples)
        return await self._hear(samples, cancel, has_times=False)

    async def _hear(
        self, samples: NDArray[np.float32], cancel: Cancel, *, has_times: bool
    ) -> Transcript | None:
        window = self._growing.window
        audio = samples[window.first_sample :]
        request = AsrRequest(
            audio,
            self._language,
            prompt=window.prompt,
            begins_with=window.begins_with,
            has_times=has_times,
        )
        tail = None
        async for reply in self._asr.run(request, cancel):
            tail = reply
        if tail is None or cancel.is_set():
            return None
        if window == self._growing.window:
            self._growing.add(audio, tail)
        if self._growing.settled and tail.language:
            self._language = tail.language
        whole = window.whole(tail)
        self._best = Hypothesis(whole.text, len(samples))
        return whole
