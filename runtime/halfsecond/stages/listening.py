"""Microphone audio of one session becomes utterances."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halfsecond.audio import LiveResampler
from halfsecond.config import TurnConfig, VadConfig
from halfsecond.errors import HalfsecondError
from halfsecond.models.vad.loudness import Loudness, SoundFell, SoundRose
from halfsecond.models.vad.segmenter import Segmenter, SegmenterConfig, SpeechEvent
from halfsecond.stages.echo import EchoCancellation
from halfsecond.stages.kept_audio import KeptAudio
from halfsecond.stages.stage import Cancel, StageHandle
from halfsecond.stages.vad import VadReply, VadRequest
from halfsecond.timeline import Now

RATE_HZ = 16_000
WINDOW_SAMPLES = 512
"""Silero's window: 32 ms."""
KEPT_S = 32.0
"""Audio that is kept: the longest utterance with what came before it."""
MAX_WAITING_S = 10.0
"""Microphone audio that waits for the VAD. A file may come in faster than it is heard."""
MAX_WAITING_BLOCKS = 2000
"""The same in messages, for those that are nearly empty."""


@dataclass(frozen=True)
class _Block:
    """Audio that waits to be heard; None is the end of it."""

    pcm: bytes | None
    arrived_s: float


class Listener:
    """Resamples, asks the VAD stage, segments, and keeps the audio that utterances are cut from."""

    def __init__(
        self,
        session: str,
        vad: StageHandle[VadRequest, VadReply],
        *,
        turn: TurnConfig,
        longest_silence_s: float,
        thresholds: VadConfig,
        rate_hz: int,
        channels: int,
        echo: EchoCancellation,
        now: Now,
    ) -> None:
        self._session = session
        self._vad = vad
        self._now = now
        self._echo = echo
        self._resampler = LiveResampler(rate_hz=rate_hz, channels=channels)
        self._segmenter = Segmenter(
            SegmenterConfig(
                on_probability=thresholds.onset,
                off_probability=thresholds.offset,
                min_speech_s=turn.min_speech_s,
                pause_s=turn.pause_s,
                silence_s=longest_silence_s,
                max_utterance_s=turn.max_utterance_s,
            )
        )
        self._loudness = Loudness()
        closing_s = longest_silence_s + 2 * WINDOW_SAMPLES / RATE_HZ
        self._closing_silence = bytes(2 * channels * int(closing_s * rate_hz))
        self._blocks: asyncio.Queue[_Block] = asyncio.Queue(MAX_WAITING_BLOCKS)
        self._waiting_bytes = 0
        self._most_waiting_bytes = int(MAX_WAITING_S * 2 * channels * rate_hz)
        self._audio = KeptAudio(round(KEPT_S * RATE_HZ))
        self._pending: NDArray[np.float32] = np.zeros(0, np.float32)
        self._arrivals: deque[tuple[int, float]] = deque(maxlen=2000)

    def push(self, pcm: bytes | None) -> bool:
        """Queues PCM s16le, or None for the end of it; False when too much waits already."""
        if self._waiting_bytes + len(pcm or b"") > self._most_waiting_bytes:
            return False
        try:
            self._blocks.put_nowait(_Block(pcm, self._now()))
        except asyncio.QueueFull:
            return False
        self._waiting_bytes += len(pcm or b"")
        return True

    @property
    def silent_for_s(self) -> float:
        """How long no audio has come, not even silence; 0 before the first."""
        if not self._arrivals or not self.is_caught_up:
            return 0.0
        return self._now() - self._arrivals[-1][1]

    @property
    def is_caught_up(self) -> bool:
        """Whether nothing waits to be heard."""
        return self._blocks.empty()

    async def hear(self) -> AsyncIterator[SpeechEvent | SoundFell | SoundRose]:
        """Waits for the next block; gives what its loudness and the segmenter say about it.

        At the end of the audio silence is heard at once, so that what is open ends.

        Raises:
            HalfsecondError: the VAD stage failed; what it was to judge was taken for silence.
        """
        block = await self._blocks.get()
        pcm = block.pcm
        self._waiting_bytes -= len(pcm or b"")
        samples = self._resampler.push(self._closing_silence if pcm is None else pcm)
        cleaned = self._echo.clean(samples, None if pcm is None else block.arrived_s)
        self._audio.append(cleaned.samples)
        self._arrivals.append((self.end_sample, block.arrived_s))
        for fall_or_rise in self._loudness.push(cleaned.audible):
            yield fall_or_rise
        pending = np.concatenate([self._pending, cleaned.audible])
        whole = len(pending) // WINDOW_SAMPLES * WINDOW_SAMPLES
        self._pending = pending[whole:]
        if not whole:
            return
        request = VadRequest(self._session, pending[:whole])
        missing = whole // WINDOW_SAMPLES
        try:
            async for reply in self._vad.run(request, Cancel()):
                for probability in reply.probabilities:
                    missing -= 1
                    for event in self._segmenter.push(probability):
                        yield event
        except HalfsecondError:
            # What was not judged counts as silence: else the segmenter would lose its place.
            for _ in range(missing):
                for event in self._segmenter.push(0.0):
                    yield event
            raise

    async def close(self) -> None:
        """Frees the VAD's state."""
        forget = VadRequest(self._session, np.zeros(0, np.float32), "forget")
        async for _ in self._vad.run(forget, Cancel()):
            pass

    def end_utterance(self) -> None:
        """The utterance is over although its silence is short; what follows is a new one."""
        self._segmenter.finish()

    @property
    def heard_s(self) -> float:
        """Seconds of audio received so far."""
        return self.end_sample / RATE_HZ

    @property
    def end_sample(self) -> int:
        """Just after the newest sample of the stream."""
        return self._audio.end_sample

    @property
    def judged_sample(self) -> int:
        """Just after the newest sample that is known to be speech or silence."""
        return self._segmenter.position

    def level_dbfs(self, from_sample: int) -> float:
        """Effective value of what was heard since a sample of the stream; -inf for nothing."""
        samples = self.since(from_sample)
        power = float(np.mean(np.square(samples))) if len(samples) else 0.0
        return 10.0 * math.log10(power) if power > 0.0 else -math.inf

    def since(self, from_sample: int, to_sample: int | None = None) -> NDArray[np.float32]:
        """(n,) mono 16 kHz between two samples of the stream, as far as it is still kept."""
        return self._audio.read(from_sample, to_sample)

    def arrived_at_s(self, sample: int) -> float:
        """When that sample of the stream arrived, on the session's clock."""
        for end_sample, at_s in self._arrivals:
            if end_sample >= sample:
                # A block arrives at once with its last sample; earlier ones are that much older.
                return at_s - (end_sample - sample) / RATE_HZ - self._echo.latency_s
        return self._now()
