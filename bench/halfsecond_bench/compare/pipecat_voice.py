# pyright: reportMissingImports=false
"""A pipecat pipeline on our weights: what it says first, and when. Needs the extra `peers`.

Wired as its own project template does (`pipecat/cli/templates/server`): transport in, speech to
text, user aggregator with Silero, language model, text to speech, transport out, assistant
aggregator; turns by its default strategies (VAD and Smart Turn). In its favour: it runs in the
harness's process without a network, its frames of audio are timed when they leave it, its
recogniser is greedy and takes as many threads as are fastest (its own service would call beam 5),
Smart Turn starts warm, the language model has the persona in its cache, and nothing is logged.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.audio.vad.vad_analyzer import VADParams
from pipecat.frames.frames import (
    BotStoppedSpeakingFrame,
    Frame,
    InputAudioRawFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    MetricsFrame,
    OutputAudioRawFrame,
    StartFrame,
    TTSAudioRawFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.metrics.metrics import TurnMetricsData
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.llm_service import LLMService
from pipecat.services.settings import LLMSettings, TTSSettings
from pipecat.services.tts_service import TTSService
from pipecat.services.whisper.stt import WhisperSTTService
from pipecat.transports.base_input import BaseInputTransport
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import TransportParams
from pipecat.workers.runner import WorkerRunner

from halfsecond.audio import float_to_pcm16, pcm16_to_float
from halfsecond.conversation import BLOCK_S, RATE_HZ
from halfsecond.models.tts.voice import SPEECH_RATE_HZ, Voice
from halfsecond.recording import AUDIBLE_DBFS
from halfsecond_bench.compare.recognition import GREEDY

_T = TypeVar("_T")
_VAD = VADParams()
SETTINGS = (
    f"default turns: Silero VAD (confidence {_VAD.confidence:g}, start {_VAD.start_secs:g} s, "
    f"stop {_VAD.stop_secs:g} s) and Smart Turn v3 on one thread; faster-whisper greedy, INT8; "
    "whole sentences to the voice; in process, without RTVI and without logging"
)
Think = Callable[[str, Callable[[], bool]], Iterator[str]]
PATIENCE_S = 8.0
"""A recording that is not answered this long after its end gets no answer; Smart Turn's own cap on
waiting for more is 3 s of silence."""


@dataclass
class Observed:
    """One turn, on the monotonic clock."""

    spoken_from_s: float = 0.0
    endpoints_s: list[float] = field(default_factory=list[float])
    """When the pipeline took the turn for finished; once, unless it cut in."""
    is_held: bool = False
    """Smart Turn took the question for unfinished at first."""
    heard: str = ""
    answer: str = ""
    first_audible_s: float | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class _Clock(FrameProcessor):  # type: ignore[misc]
    """At the end of the pipeline, where what the stages say of a turn comes by."""

    def __init__(self, voice: PipecatVoice) -> None:
        super().__init__()
        self._voice = voice

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        turn = self._voice.turn
        if isinstance(frame, UserStoppedSpeakingFrame):
            turn.endpoints_s.append(time.monotonic())
        elif isinstance(frame, MetricsFrame):
            verdicts = [d.is_complete for d in frame.data if isinstance(d, TurnMetricsData)]
            turn.is_held = turn.is_held or not all(verdicts)
        elif isinstance(frame, BotStoppedSpeakingFrame):
            turn.ended.set()
        await self.push_frame(frame, direction)


class _Microphone(BaseInputTransport):  # type: ignore[misc]
    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)


class _Loudspeaker(BaseOutputTransport):  # type: ignore[misc]
    def __init__(self, params: TransportParams, voice: PipecatVoice) -> None:
        super().__init__(params)
        self._voice = voice

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        turn = self._voice.turn
        samples = pcm16_to_float(frame.audio)
        if turn.first_audible_s is None and np.any(np.abs(samples) > 10 ** (AUDIBLE_DBFS / 20)):
            turn.first_audible_s = time.monotonic()
        return True


class _Greedy:
    """A `WhisperModel` whose calls are greedy, whatever is asked."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def transcribe(self, samples: NDArray[np.float32], **_: Any) -> Any:
        return self._model.transcribe(samples, **GREEDY)


class _Recogniser(WhisperSTTService):  # type: ignore[misc]
    def __init__(self, model: Any) -> None:
        self._given = model
        super().__init__(settings=self.Settings(model="tiny.en"))

    def _load(self) -> None:
        self._model = _Greedy(self._given)


class _Model(LLMService):  # type: ignore[misc]
    def __init__(self, think: Think, voice: PipecatVoice) -> None:
        super().__init__(settings=_complete(LLMSettings()))
        self._think = think
        self._voice = voice

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        question = _unanswered(frame.context.get_messages())
        await self.push_frame(LLMFullResponseStartFrame())
        self._voice.turn.heard, self._voice.turn.answer = question, ""
        async for piece in _threaded(lambda stopped: self._think(question, stopped)):
            self._voice.turn.answer += piece
            await self._push_llm_text(piece)
        await self.push_frame(LLMFullResponseEndFrame())


def _unanswered(messages: list[Any]) -> str:
    """What the visitor said since the last answer, which may be several messages."""
    said = takewhile(lambda message: message["role"] == "user", reversed(messages))
    return " ".join(str(message["content"]).strip() for message in reversed(list(said)))


class _Speech(TTSService):  # type: ignore[misc]
    def __init__(self, voice: Voice) -> None:
        super().__init__(
            push_start_frame=True, push_stop_frames=True, settings=_complete(TTSSettings())
        )
        self._voice = voice

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame, None]:
        async for chunk in _threaded(lambda _: self._voice.speak(text)):
            yield TTSAudioRawFrame(
                audio=float_to_pcm16(chunk.samples),
                sample_rate=SPEECH_RATE_HZ,
                num_channels=1,
                context_id=context_id,
            )


def _complete(settings: Any) -> Any:
    """Every setting as None: the engines have their own."""
    for name in settings.__dataclass_fields__:
        if not name.startswith("_") and name != "extra":
            setattr(settings, name, None)
    return settings


async def _threaded(make: Callable[[Callable[[], bool]], Iterator[_T]]) -> AsyncIterator[_T]:
    """What an iterator gives, made on a thread of its own."""
    loop = asyncio.get_running_loop()
    made: asyncio.Queue[tuple[bool, Any]] = asyncio.Queue()
    is_stopped = False

    def work() -> None:
        try:
            for item in make(lambda: is_stopped):
                loop.call_soon_threadsafe(made.put_nowait, (True, item))
        finally:
            loop.call_soon_threadsafe(made.put_nowait, (False, None))

    task = loop.run_in_executor(None, work)
    try:
        while (got := await made.get())[0]:
            yield got[1]
        await task
    finally:
        is_stopped = True


class PipecatVoice:
    """A running pipeline that is asked one recording after another."""

    def __init__(self, *, whisper: Any, think: Think, voice: Voice) -> None:
        self.turn = Observed()
        params = TransportParams(audio_in_enabled=True, audio_out_enabled=True)
        self._microphone = _Microphone(params)
        self._context = LLMContext()
        user, assistant = LLMContextAggregatorPair(
            self._context, user_params=LLMUserAggregatorParams(vad_analyzer=SileroVADAnalyzer())
        )
        stages = [
            self._microphone, _Recogniser(whisper), user, _Model(think, self), _Speech(voice),
            _Loudspeaker(params, self), assistant, _Clock(self),
        ]  # fmt: skip
        self._worker = PipelineWorker(
            Pipeline(stages),
            params=PipelineParams(
                audio_in_sample_rate=RATE_HZ, audio_out_sample_rate=SPEECH_RATE_HZ
            ),
            cancel_on_idle_timeout=False,
            enable_rtvi=False,
        )
        self._runner = WorkerRunner(handle_sigint=False)
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> PipecatVoice:
        started = asyncio.Event()

        @self._worker.event_handler("on_pipeline_started")  # type: ignore[untyped-decorator]
        async def on_started(*_: Any) -> None:
            started.set()

        await self._runner.add_workers(self._worker)
        self._running = asyncio.create_task(self._runner.run())
        await started.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cancel()
        if self._running is not None:
            await self._running

    async def ask(self, samples: NDArray[np.float32]) -> Observed:
        """Speaks (n,) mono 16 kHz at real-time pace, then is silent until the answer has ended."""
        self._context.set_messages([])
        turn = self.turn = Observed(spoken_from_s=time.monotonic())
        speaking = asyncio.create_task(self._speak(samples, turn.spoken_from_s))
        try:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(
                    self._answered(turn, len(samples) / RATE_HZ),
                    len(samples) / RATE_HZ + PATIENCE_S,
                )
        finally:
            speaking.cancel()
            await asyncio.gather(speaking, return_exceptions=True)
        return turn

    @staticmethod
    async def _answered(turn: Observed, clip_s: float) -> None:
        """Returns when it has spoken; what ends before the recording was a cut-in."""
        while True:
            await turn.ended.wait()
            if time.monotonic() > turn.spoken_from_s + clip_s:
                return
            turn.ended.clear()

    async def _speak(self, samples: NDArray[np.float32], start_s: float) -> None:
        block = int(BLOCK_S * RATE_HZ)
        number = 0
        while True:
            piece = samples[number * block : (number + 1) * block]
            number += 1
            await asyncio.sleep(max(0.0, start_s + number * BLOCK_S - time.monotonic()))
            pcm = float_to_pcm16(piece if len(piece) else np.zeros(block, np.float32))
            await self._microphone.push_audio_frame(
                InputAudioRawFrame(audio=pcm, sample_rate=RATE_HZ, num_channels=1)
            )
