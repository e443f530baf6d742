"""Microphone audio of one session becomes utterances."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator

import numpy as np
from numpy.typing import NDArray

from halfsecond.audio import PcmResampler
from halfsecond.config import TurnConfig, VadConfig
from halfsecond.models.vad.segmenter import Segmenter, SpeechEvent
from halfsecond.stages.stage import Cancel, StageHandle
from halfsecond.stages.vad import VadReply, VadRequest
from halfsecond.timeline import Now

RATE_HZ = 16_000
WINDOW_SAMPLES = 512
"""Silero's window: 32 ms."""
KEPT_S = 32.0
"""Audio that is kept: the longest utterance with what came before it."""


class Listener:
    """Resamples, asks the VAD stage, segments, and keeps the audio that utterances are cut from."""

    def __init__(
        self,
        session: str,
        vad: StageHandle[VadRequest, VadReply],
        *,
        turn: TurnConfig,
        thresholds: VadConfig,
        rate_hz: int,
        channels: int,
        now: Now,
    ) -> None:
        self._session = session
        self._vad = vad
        self._now = now
        self._resampler = PcmResampler(rate_hz, channels=channels)
        self._segmenter = Segmenter(
            onset=thresholds.onset,
            offset=thresholds.offset,
            pause_s=turn.pause_s,
            silence_s=turn.silence_s,
            min_speech_s=turn.min_speech_s,
            max_utterance_s=turn.max_utterance_s,
        )
        self._audio: NDArray[np.float32] = np.zeros(0, np.float32)
        self._first_sample = 0
        self._pending: NDArray[np.float32] = np.zeros(0, np.float32)
        self._arrivals: deque[tuple[int, float]] = deque(maxlen=2000)

    async def hear(self, pcm: bytes) -> AsyncIterator[SpeechEvent]:
        """What the segmenter says about PCM s16le that follows what came before."""
        samples = self._resampler.process(pcm)
        self._keep(samples)
        self._arrivals.append((self._first_sample + len(self._audio), self._now()))
        pending = np.concatenate([self._pending, samples])
        whole = len(pending) // WINDOW_SAMPLES * WINDOW_SAMPLES
        self._pending = pending[whole:]
        if not whole:
            return
        request = VadRequest(self._session, pending[:whole])
        async for reply in self._vad.run(request, Cancel()):
            for probability in reply.probabilities:
                for event in self._segmenter.push(probability):
                    yield event

    def end(self) -> list[SpeechEvent]:
        """No more audio follows: what is open is an utterance as it stands."""
        return list(self._segmenter.flush())

    async def close(self) -> None:
        """Frees the VAD's state."""
        forget = VadRequest(self._session, np.zeros(0, np.float32), "forget")
        async for _ in self._vad.run(forget, Cancel()):
            pass

    def _keep(self, samples: NDArray[np.float32]) -> None:
        self._audio = np.concatenate([self._audio, samples])
        excess = len(self._audio) - int(KEPT_S * RATE_HZ)
        if excess > 0:
            self._audio = self._audio[excess:]
            self._first_sample += excess

    @property
    def heard_s(self) -> float:
        """Seconds of audio received so far."""
        return (self._first_sample + len(self._audio)) / RATE_HZ

    def cut(self, start_sample: int, end_sample: int) -> NDArray[np.float32]:
        """(n,) mono 16 kHz between two samples of the stream, as far as it is still kept."""
        start = max(0, start_sample - self._first_sample)
        return self._audio[start : max(start, end_sample - self._first_sample)].copy()

    def arrived_at_s(self, sample: int) -> float:
        """When that sample of the stream arrived, on the session's clock."""
        for end_sample, at_s in self._arrivals:
            if end_sample >= sample:
                # A block arrives at once with its last sample; earlier ones are that much older.
                return at_s - (end_sample - sample) / RATE_HZ
        return self._now()
