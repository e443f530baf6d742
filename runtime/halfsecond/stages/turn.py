"""One turn: what was heard becomes words, an answer, speech and pictures, all at once.

    asr ──▶ llm ──▶ clause ──▶ tts ──▶ out
                                └────▶ lipsync ──▶ out

Every arrow is a queue, so that the voice speaks the first clause while the answer goes on. A turn
that was begun before the visitor had surely finished holds back what it makes until `reveal`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from halfsecond import wire
from halfsecond.audio import float_to_pcm16
from halfsecond.models.asr.recognizer import Transcript
from halfsecond.models.llm.clauses import ClauseCutter
from halfsecond.models.tts.voice import SPEECH_RATE_HZ, SpeechChunk
from halfsecond.stages.animation import Animation
from halfsecond.stages.av_offset import AvOffset
from halfsecond.stages.engines import Engines
from halfsecond.stages.llm import LlmRequest
from halfsecond.stages.playback import Playback
from halfsecond.stages.stage import Cancel
from halfsecond.stages.tts import TtsRequest
from halfsecond.stages.turn_settings import TurnSettings
from halfsecond.timeline import Now, Span, Timeline, monotonic

PACKET_S = 0.1
"""Length of an audio message: short enough to stop within, long enough to cost nothing."""
AUDIO_AHEAD_S = 6.0
"""Speech made ahead of the visitor's ear; bounds what an interruption wastes."""

Emit = Callable[[wire.Header, bytes], None]


@dataclass(frozen=True)
class Spoken:
    """A question that was spoken, and what finds its words."""

    length_s: float
    hear: Callable[[Cancel], Awaitable[Transcript | None]]
    """None when it was cancelled."""


@dataclass
class _Counters:
    audio: int = 0
    answer: int = 0


@dataclass
class Turn:
    """An answer in the making. `run` once; `reveal`, `cancel` and `playback` from the same loop."""

    settings: TurnSettings
    engines: Engines
    emit: Emit
    now: Now = monotonic
    cancelled: Cancel = field(default_factory=Cancel)
    question: str = ""
    answer: str = ""

    def __post_init__(self) -> None:
        self.playback = Playback(self.now)
        self.timeline = Timeline(turn=self.settings.number)
        self.av_offset = AvOffset(self.settings.session, self.settings.number)
        self._seq = _Counters()
        self._held: list[tuple[wire.Header, bytes]] | None = []
        self._revealed = asyncio.Event()
        self.is_revealed = False
        self.is_heard = False
        """Whether `question` is known."""
        self.is_judged = False
        """Whether nothing more will be found out about its end."""
        self.sentence_end: float | None = None
        """The model's probability that the question ends where it does; None as long as unknown."""
        self._paused_s = 0.0
        self._task: asyncio.Task[Any] | None = None
        self.animation = Animation(
            self.settings,
            self.engines.lipsync,
            playback=self.playback,
            timeline=self.timeline,
            cancelled=self.cancelled,
            emit=self._emit,
            now=self.now,
        )
        self._clauses: asyncio.Queue[str | None] = asyncio.Queue()

    def reveal(self) -> None:
        """The visitor has finished: sends what was made so far, and the rest as it comes."""
        self.is_revealed = True
        self._open_if_waiting()
        self._let_go()
        self._revealed.set()

    def _open_if_waiting(self) -> None:
        """Says an opening where the visitor has finished and no clause of the answer is there."""
        phrases = self.settings.phrases
        opening = phrases.opening(self.settings.number)
        is_asked = self.is_revealed and self.is_heard and bool(self.question)
        is_there = "llm_first_clause" in self.timeline.marks or phrases.answer_to(self.question)
        if opening and is_asked and not is_there:
            self._clauses.put_nowait(opening)

    @property
    def is_dropped(self) -> bool:
        """Whether it was cancelled before anybody knew of it."""
        return self.cancelled.is_set() and not self.is_revealed

    def pause(self) -> None:
        """Somebody may be speaking over the answer: nothing more is sent, and the client waits."""
        if self.playback.is_paused or self.cancelled.is_set():
            return
        self._held = []
        self.playback.pause()
        self._paused_s = self.now()
        if self.playback.has_started:
            self.emit(wire.Pause(**self.settings.envelope(self.playback.position_s)), b"")

    def resume(self) -> None:
        """It was nothing: goes on from where it stopped."""
        if not self.playback.is_paused or self.cancelled.is_set():
            return
        if self.playback.has_started:
            self.emit(wire.Resume(**self.settings.envelope(self.playback.position_s)), b"")
        self.playback.resume()
        self._end_pause("resumed")
        self._let_go()

    def _end_pause(self, how: str) -> None:
        self.timeline.spans.append(Span("pause", how, self._paused_s, self.now()))

    def _let_go(self) -> None:
        held, self._held = self._held, None
        for header, payload in held or ():
            self._send(header, payload)

    async def wait_revealed(self) -> None:
        """Returns once the turn is revealed, or will never be."""
        await self._revealed.wait()

    def cancel(self) -> None:
        """Stops every stage that works for this turn, and the task that runs it."""
        if self.playback.is_paused and not self.cancelled.is_set():
            self._end_pause("stopped")
        self.cancelled.set()
        self._revealed.set()
        if self._task is not None:
            self._task.cancel()

    async def run(
        self, question: Spoken | str, *, on_heard: Callable[[], None]
    ) -> wire.TurnEndReason:
        """Answers a spoken or a typed question; returns when all was sent.

        on_heard: called once `question` is known, and again with `sentence_end`.

        Raises:
            HalfsecondError: a stage failed.
        """
        self._task = asyncio.current_task()
        if self.cancelled.is_set():
            return "interrupted"
        self.question = question if isinstance(question, str) else await self._hear(question)
        self.timeline.question = self.question
        self.is_heard = True
        on_heard()
        if not self.question:
            return "empty"
        self._open_if_waiting()
        is_preset = self.settings.phrases.answer_to(self.question) is not None
        if not (self.is_revealed or is_preset or self.settings.is_settled(self.question)):
            await self._judge()
        self.is_judged = True
        on_heard()
        return await self._answer(self._think())

    async def say(self, text: str) -> wire.TurnEndReason:
        """Greets with a text that nobody asked for; returns and raises as `run`."""
        self.animation.is_greeting = True
        self._task = asyncio.current_task()
        return await self._answer(self._recite(text))

    async def _answer(self, thinking: Coroutine[Any, Any, None]) -> wire.TurnEndReason:
        tasks = [thinking, self._speak()]
        if self.settings.video != "none":
            tasks.append(self.animation.run())
        await _all_or_none(tasks)
        self.timeline.answer = self.answer
        return "complete"

    async def _hear(self, spoken: Spoken) -> str:
        with self.timeline.span("asr", f"{spoken.length_s:.1f} s of speech", now=self.now):
            heard = await spoken.hear(self.cancelled)
        if heard is None or not heard.text:
            return ""
        self._emit(
            wire.Transcript(**self.settings.envelope(), text=heard.text, language=heard.language)
        )
        return heard.text

    async def _judge(self) -> None:
        """Asks the model whether the question is whole, which it takes in for the answer anyway."""
        messages = list(self.settings.build_judged(self.question))
        request = LlmRequest(messages, self.settings.sampling, "judge")
        with self.timeline.span("llm", "judge", now=self.now):
            async for reply in self.engines.llm.run(request, self.cancelled):
                self.sentence_end = reply.sentence_end

    async def _think(self) -> None:
        if preset := self.settings.phrases.answer_to(self.question):
            await self._recite(preset)
            return
        cutter = ClauseCutter()
        messages = list(self.settings.build_messages(self.question))
        request = LlmRequest(messages, self.settings.sampling)
        with self.timeline.span("llm", "answer", now=self.now):
            async for reply in self.engines.llm.run(request, self.cancelled):
                self._mark("llm_first_token")
                self.answer += reply.text
                for clause in cutter.push(reply.text):
                    self._mark("llm_first_clause")
                    self._clauses.put_nowait(clause)
        for clause in cutter.flush():
            self._mark("llm_first_clause")
            self._clauses.put_nowait(clause)
        self._clauses.put_nowait(None)

    async def _recite(self, text: str) -> None:
        """Takes a text that is known for the answer."""
        cutter = ClauseCutter()
        self.answer = text
        self._mark("llm_first_clause")
        for clause in (*cutter.push(text), *cutter.flush(), None):
            self._clauses.put_nowait(clause)

    async def _speak(self) -> None:
        while (clause := await self._clauses.get()) is not None:
            await self.playback.wait_until_near(self.playback.sent_s, ahead_s=AUDIO_AHEAD_S)
            with self.timeline.span("tts", clause, now=self.now):
                request = TtsRequest(
                    clause, self.settings.speed, voiceprint=self.settings.voiceprint
                )
                async for chunk in self.engines.tts.run(request, self.cancelled):
                    self._mark("tts_first_chunk")
                    self._send_speech(chunk)
                    self.animation.show(chunk)
        self.animation.show(None)

    def _send_speech(self, chunk: SpeechChunk) -> None:
        """Hands over a chunk as a caption and audio packets."""
        pts_s = self.playback.sent_s
        duration_s = len(chunk.samples) / SPEECH_RATE_HZ
        self.playback.add(chunk.text, duration_s)
        caption = wire.Answer(
            **self.settings.envelope(pts_s, self._seq.answer),
            text=chunk.text,
            duration_s=duration_s,
        )
        self._seq.answer += 1
        self._emit(caption)
        pcm = float_to_pcm16(chunk.samples)
        step = int(PACKET_S * SPEECH_RATE_HZ) * 2
        for start in range(0, len(pcm), step):
            at_s = pts_s + start / 2 / SPEECH_RATE_HZ
            self._emit(
                wire.Audio(**self.settings.envelope(at_s, self._seq.audio)),
                pcm[start : start + step],
            )
            self._seq.audio += 1

    def _emit(self, header: wire.Header, payload: bytes = b"") -> None:
        if self.cancelled.is_set():
            return
        if self._held is not None:
            self._held.append((header, payload))
        else:
            self._send(header, payload)

    def _send(self, header: wire.Header, payload: bytes) -> None:
        if isinstance(header, wire.Audio):
            self.playback.start()
            self._mark("first_audio_sent")
        elif isinstance(header, wire.Video) and header.is_driven:
            self._mark("first_frame_sent")
        self.emit(header, payload)

    def _mark(self, name: str) -> None:
        self.timeline.mark(name, self.now())


async def _all_or_none(coroutines: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Runs all to their end; when one fails the others are cancelled."""
    tasks = [asyncio.create_task(c) for c in coroutines]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
