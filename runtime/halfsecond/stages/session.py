"""One visitor: listens, lets turns run, interrupts them, remembers what was heard."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, Literal

import structlog

from halfsecond import wire
from halfsecond.bus.outbox import Outbox
from halfsecond.config import Config
from halfsecond.errors import HalfsecondError
from halfsecond.metrics import METRICS
from halfsecond.models.llm.answerer import Message
from halfsecond.models.llm.persona import Persona, build_messages, opening
from halfsecond.models.vad.segmenter import (
    SpeechEnded,
    SpeechEvent,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
)
from halfsecond.stages.engines import Engines, sampling_of
from halfsecond.stages.face import Face
from halfsecond.stages.listening import Listener
from halfsecond.stages.llm import LlmRequest
from halfsecond.stages.stage import Cancel
from halfsecond.stages.turn import Turn, TurnSettings
from halfsecond.timeline import Now, monotonic

log = structlog.get_logger(__name__)

INTERNAL = "the server failed on this session; see its log"


class Session:
    """The turn logic of one client. Everything happens on the event loop; `close` ends it."""

    def __init__(
        self,
        hello: wire.Hello,
        *,
        name: str,
        config: Config,
        engines: Engines,
        persona: Persona,
        outbox: Outbox,
        now: Now = monotonic,
    ) -> None:
        self.name = name
        self.outbox = outbox
        self._hello = hello
        self._config = config
        self._engines = engines
        self._persona = persona
        self._now = now
        self._history: list[Message] = []
        self._generation = 0
        self._turns = 0
        self._state: wire.State = "idle"
        self._state_sent: tuple[wire.State, int] = ("idle", 0)
        self._turn: Turn | None = None
        self._draft: Turn | None = None
        """The turn that is made in secret while the visitor may still go on."""
        self._from_sample = 0
        self._ended_at = 0
        """Where the last utterance ended, in samples of the microphone."""
        self._goes_on = False
        """The speech that is going on belongs to the question that is being answered."""
        self._speaking_since: int | None = None
        """Where the speech that is going on began, in samples of the microphone."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._face = Face(name, engines.lipsync, outbox=outbox, video=hello.video)
        self._listener = Listener(
            name,
            engines.vad,
            turn=config.turn,
            thresholds=config.vad,
            rate_hz=hello.audio_rate_hz,
            channels=hello.audio_channels,
            now=now,
        )

    async def open(self) -> None:
        """Makes the face ready, takes the persona into the model's cache, and starts to listen."""
        await self._face.open()
        self._start(self._listen())
        self._start(self._prefill())
        self._start(
            self._face.rest(
                fps=self._config.face.idle_fps if self._hello.wants_idle else 0,
                is_busy=lambda: any(turn.is_drawing for turn in self._live_turns()),
                generation=lambda: self._generation,
            )
        )

    async def close(self) -> None:
        """Stops everything and forgets the visitor."""
        for turn in self._live_turns():
            turn.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._history.clear()
        with contextlib.suppress(HalfsecondError):
            await self._listener.close()
        await self._face.close()

    # What the client says.

    def hear(self, pcm: bytes) -> bool:
        """Takes PCM s16le from the microphone; False when too much waits already."""
        return self._listener.push(pcm)

    def end_of_audio(self) -> bool:
        """Nothing more will be said; False when too much audio waits already."""
        return self._listener.push(None)

    def ask(self, text: str) -> None:
        """A typed question; it interrupts what is being said."""
        self._stop_turn("interrupted")
        self._drop_draft()
        turn = self._new_turn()
        turn.timeline.mark("text", self._now())
        self._start(self._run(turn, text))
        self._reveal(turn)

    def interrupt(self) -> None:
        """The visitor wants silence."""
        self._stop_turn("interrupted")
        self._drop_draft()
        self._set_state("idle")

    def playhead(self, turn: int, pts_s: float) -> None:
        """The client reports how far the answer was heard."""
        if self._turn is not None and self._turn.settings.number == turn:
            self._turn.playback.report(pts_s)

    # Microphone to turns.

    async def _listen(self) -> None:
        while True:
            try:
                async for event in self._listener.hear():
                    self._on_speech(event)
                self._interrupt_if_spoken_over()
            except HalfsecondError as error:
                log.error("listening failed", session=self.name, error=str(error))
                self._say_error("stage_failed", str(error))

    def _on_speech(self, event: SpeechEvent) -> None:
        if isinstance(event, SpeechStarted):
            self._say_speech(is_speaking=True)
            self._goes_on = self._continues(event)
            if not self._goes_on:
                self._from_sample = event.from_sample
            self._speaking_since = event.at_sample
            if self._turn is None:
                self._set_state("listening")
        elif isinstance(event, SpeechPaused):
            self._speaking_since = None
            if self._config.turn.is_speculative and self._turn is None:
                self._begin_draft(event.last_sample)
        elif isinstance(event, SpeechResumed):
            self._speaking_since = event.at_sample
            self._drop_draft()
        elif isinstance(event, SpeechEnded):
            self._speaking_since = None
            self._ended_at = event.last_sample
            self._say_speech(is_speaking=False)
            if self._turn is None:
                self._confirm(event)

    def _continues(self, event: SpeechStarted) -> bool:
        """Whether the visitor only paused: what follows belongs to the question that was taken."""
        turn = self._config.turn
        if self._turn is None or not turn.can_interrupt:
            return False
        is_soon = event.at_sample - self._ended_at <= turn.reopen_s * 16_000
        return is_soon and event.at_sample - self._from_sample < turn.max_utterance_s * 16_000

    def _interrupt_if_spoken_over(self) -> None:
        """Stops the answer once the visitor has spoken through it for long enough."""
        turn = self._config.turn
        if self._turn is None or self._speaking_since is None or not turn.can_interrupt:
            return
        if self._listener.heard_s - self._speaking_since / 16_000 >= turn.interrupt_s:
            METRICS.reopened_turns.inc(self._goes_on)
            self._stop_turn("interrupted", is_remembered=not self._goes_on)
            self._set_state("listening")

    def _say_speech(self, *, is_speaking: bool) -> None:
        self.outbox.put(
            wire.Speech(
                session=self.name,
                generation=self._generation,
                pts=self._listener.heard_s,
                is_speaking=is_speaking,
            )
        )

    def _begin_draft(self, last_sample: int) -> None:
        """Runs ahead: the turn is made in secret until the visitor has surely finished."""
        self._drop_draft()
        turn = self._new_turn()
        turn.timeline.mark("last_speech", self._listener.arrived_at_s(last_sample))
        turn.timeline.mark("begun", self._now())
        self._draft = turn
        self._start(self._run(turn, self._listener.since(self._from_sample)))

    def _drop_draft(self) -> None:
        if self._draft is not None:
            METRICS.wasted_drafts.inc()
            self._draft.cancel()
            self._draft = None

    def _confirm(self, event: SpeechEnded) -> None:
        """The visitor has finished: the draft is shown, or a turn begins now."""
        if self._draft is None:
            self._begin_draft(event.last_sample)
        draft, self._draft = self._draft, None
        if draft is not None:
            self._reveal(draft)

    # Turns.

    def _new_turn(self) -> Turn:
        self._turns += 1
        settings = TurnSettings(
            session=self.name,
            number=self._turns,
            generation=self._generation + 1,
            language=self._hello.language or self._config.language,
            sampling=sampling_of(self._config),
            speed=self._config.tts.speed,
            video=self._hello.video,
            build_messages=self._messages,
        )
        return Turn(settings, self._engines, self.outbox.put, self._now)

    def _messages(self, question: str) -> Sequence[Message]:
        return build_messages(self._persona, self._history, question)

    def _reveal(self, turn: Turn) -> None:
        turn.timeline.mark("endpoint", self._now())
        self._generation = turn.settings.generation
        self._turn = turn
        self._set_state("thinking", turn)
        turn.reveal()

    async def _run(self, turn: Turn, question: Any) -> None:
        """Runs a turn to its end and says how it ended, unless somebody stopped it before."""
        watcher = asyncio.create_task(self._watch(turn))
        failure: Exception | None = None
        try:
            reason = await turn.run(question)
            await turn.wait_revealed()
            if reason == "complete" and turn.playback.sent_s:
                end_s = max(turn.playback.sent_s, turn.video_end_s)
                await turn.playback.wait_until_near(end_s, ahead_s=0.0)
        except Exception as error:  # whatever it was, the turn must end for the next one to begin
            reason, failure = "failed", error
            await turn.wait_revealed()
        finally:
            watcher.cancel()
        if turn is not self._turn:
            return
        if failure is not None:
            self._say_failure(turn, failure)
        self._finish(turn, reason)

    def _say_failure(self, turn: Turn, failure: Exception) -> None:
        number = turn.settings.number
        if isinstance(failure, HalfsecondError):
            log.error("turn failed", session=self.name, turn=number, error=str(failure))
            self._say_error("stage_failed", str(failure))
        else:
            log.error("turn failed", session=self.name, turn=number, exc_info=failure)
            self._say_error("internal", INTERNAL)

    async def _watch(self, turn: Turn) -> None:
        """The state becomes "speaking" with the first sample."""
        await turn.playback.wait_started()
        if turn is self._turn:
            self._set_state("speaking", turn)

    def _stop_turn(self, reason: wire.TurnEndReason, *, is_remembered: bool = True) -> None:
        """Cuts the answer off: every stage drops it, and so must the client."""
        turn = self._turn
        if turn is None:
            return
        turn.cancel()
        turn.timeline.mark("interrupted", self._now())
        self._generation += 1
        self.outbox.drop_before(self._generation)
        self._finish(turn, reason, is_remembered=is_remembered)

    def _finish(
        self, turn: Turn, reason: wire.TurnEndReason, *, is_remembered: bool = True
    ) -> None:
        self._turn = None
        heard = turn.answer if reason == "complete" else turn.playback.heard_text()
        if turn.question and heard and is_remembered:
            self._remember(turn.question, heard.strip())
        timeline = turn.timeline
        timeline.mark("end", self._now())
        METRICS.observe(timeline, reason)
        self.outbox.put(
            wire.TurnEnd(
                session=self.name,
                turn=turn.settings.number,
                generation=self._generation,
                pts=round(turn.playback.sent_s, 6),
                reason=reason,
                marks=timeline.marks,
                spans=[(s.stage, s.detail, s.start_s, s.end_s) for s in timeline.spans],
            )
        )
        self._log_turn(turn, reason)
        self._set_state("idle")
        self._start(self._prefill())

    def _log_turn(self, turn: Turn, reason: str) -> None:
        marks = turn.timeline.relative().marks
        words = (
            {"question": turn.question, "answer": turn.answer}
            if self._config.log.has_transcripts
            else {}
        )
        log.info(
            "turn",
            session=self.name,
            turn=turn.settings.number,
            reason=reason,
            **_first_ms(marks),
            **words,
        )

    def _remember(self, question: str, heard: str) -> None:
        self._history += [Message("user", question), Message("assistant", heard)]
        keep = 2 * self._config.persona.history_turns
        self._history = self._history[-keep:] if keep else []

    async def _prefill(self) -> None:
        await self._llm("prefill", list(opening(self._persona, self._history)))

    async def forget(self) -> None:
        """Takes what the visitors said out of the model's cache; for when the last one has left."""
        await self._llm("forget", [])

    async def _llm(self, action: Literal["prefill", "forget"], messages: list[Message]) -> None:
        request = LlmRequest(messages, sampling_of(self._config), action)
        with contextlib.suppress(HalfsecondError):  # the next answer itself will report it
            async for _ in self._engines.llm.run(request, Cancel()):
                pass

    # Small things.

    def _set_state(self, state: wire.State, turn: Turn | None = None) -> None:
        number = turn.settings.number if turn else 0
        if (state, number) == self._state_sent:
            return
        self._state = state
        self._state_sent = (state, number)
        self.outbox.put(
            wire.StateChange(
                session=self.name,
                turn=number,
                generation=self._generation,
                state=state,
            )
        )

    def _say_error(self, code: str, message: str) -> None:
        self.outbox.put(wire.Error(session=self.name, code=code, message=message))

    def _live_turns(self) -> list[Turn]:
        return [turn for turn in (self._turn, self._draft) if turn is not None]

    def _start(self, coroutine: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("session task failed", session=self.name, exc_info=error)
            self._say_error("internal", INTERNAL)


def _first_ms(marks: dict[str, float]) -> dict[str, float]:
    """What the visitor waited for, as far as it came."""
    names = {"first_audio_ms": "first_audio_sent", "first_frame_ms": "first_frame_sent"}
    return {key: round(1000 * marks[name], 1) for key, name in names.items() if name in marks}
