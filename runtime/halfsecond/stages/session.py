"""One visitor: turns begin, are shown, pause and end as the floor decides."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Coroutine
from typing import Any

import structlog

from halfsecond import wire
from halfsecond.audio import pcm16_to_float
from halfsecond.bus.outbox import Outbox
from halfsecond.config import Config
from halfsecond.errors import HalfsecondError
from halfsecond.metrics import METRICS
from halfsecond.models.asr.recognizer import Transcript
from halfsecond.models.echo.registry import open_canceller
from halfsecond.models.llm.persona import Persona
from halfsecond.stages.announcing import Announcer
from halfsecond.stages.asr import AsrRequest
from halfsecond.stages.av_offset import AvFigures
from halfsecond.stages.drafts import Drafts
from halfsecond.stages.echo import EchoCancellation
from halfsecond.stages.endpointing import Endpointing
from halfsecond.stages.engines import Engines, sampling_of
from halfsecond.stages.face import Face
from halfsecond.stages.floor import Floor
from halfsecond.stages.lipsync import Picture
from halfsecond.stages.listening import Listener
from halfsecond.stages.memory import Memory
from halfsecond.stages.phrases import Phrases
from halfsecond.stages.stage import Cancel
from halfsecond.stages.turn import Spoken, Turn
from halfsecond.stages.turn_settings import TurnSettings
from halfsecond.stages.utterance import Utterance
from halfsecond.stages.visitor_files import VisitorFiles
from halfsecond.timeline import Now, monotonic
from halfsecond.uploads.workshop import Workshop

log = structlog.get_logger(__name__)

MICROPHONE_LIMIT_S = 2.0
"""A microphone that sends nothing for this long in the middle of speech, not even silence, has
failed. Less takes a network's hiccup for it; more keeps the visitor waiting."""
BELIEVED_S = 1.0
"""A playhead that was heard longer ago, or is yet to come, is of a clock that is not in step."""


class Session:
    """The turns of one client. Everything happens on the event loop; `close` ends it."""

    def __init__(
        self,
        hello: wire.Hello,
        *,
        name: str,
        config: Config,
        engines: Engines,
        persona: Persona,
        phrases: Phrases,
        outbox: Outbox,
        workshop: Workshop | None = None,
        now: Now = monotonic,
    ) -> None:
        """workshop: where a visitor's files are looked at; None where none are taken."""
        self.name = name
        self.outbox = outbox
        self._hello = hello
        self._config = config
        self._engines = engines
        self._phrases = phrases
        self._now = now
        self._announcer = Announcer(name, outbox)
        self._turns = 0
        self._turn: Turn | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._face = Face(
            name,
            engines.lipsync,
            outbox=outbox,
            video=hello.video,
            avatar=hello.avatar or "",
            fps=hello.fps or 0,
        )
        self.files = VisitorFiles(
            name,
            config.uploads,
            workshop,
            face=self._face,
            tts=engines.tts,
            outbox=outbox,
            is_drawing=lambda: any(turn.animation.is_drawing for turn in self._live_turns()),
            now=now,
        )
        self._memory = Memory(
            persona,
            engines.llm,
            sampling=sampling_of(config),
            turns=config.persona.history_turns,
        )
        self._echo = EchoCancellation(open_canceller(config.echo.kind), now=now)
        self._listener = Listener(
            name,
            engines.vad,
            turn=config.turn,
            longest_silence_s=config.endpoint.longest_silence_s,
            thresholds=config.vad,
            rate_hz=hello.audio_rate_hz,
            channels=hello.audio_channels,
            echo=self._echo,
            now=now,
        )
        self._endpointing = Endpointing(
            config.endpoint,
            engines.endpoint,
            language=self._language,
            start=self._start,
            on_verdict=lambda: self._floor.look(),
        )
        self._drafts = Drafts(
            self._listener,
            engines.asr,
            language=self._language,
            begin_turn=self._new_turn,
            answer=self._answer,
            on_partial=self._announcer.tell_partial,
            start=self._start,
            now=now,
        )
        self._floor = Floor(
            self,
            self._drafts,
            self._listener,
            self._endpointing,
            config.turn,
            start=self._start,
        )

    @property
    def shown(self) -> Picture | None:
        """The first picture of the session's face, once it is ready; None without video."""
        return self._face.first

    async def prepare(self) -> None:
        """Makes the face ready; raises HalfsecondError where it cannot be."""
        await self._face.open()

    def start(self) -> None:
        """Takes the persona into the model's cache, and starts to listen and to be seen."""
        self._start(self._listen())
        self._start(self._watch_microphone())
        self._start(self._memory.prefill())
        self._start(
            self._face.rest(
                fps=self._config.face.idle_fps if self._hello.wants_idle else 0,
                is_busy=self._is_drawing,
                generation=lambda: self._announcer.generation,
                mood=lambda: self._announcer.state,
            )
        )

    async def close(self) -> None:
        """Stops everything and forgets the visitor."""
        for turn in self._live_turns():
            turn.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.files.close()
        self._memory.clear()
        with contextlib.suppress(HalfsecondError):
            await self._listener.close()
        await self._face.close()

    async def forget(self) -> None:
        """Takes what the visitors said out of the model's cache; for when the last one has left."""
        await self._memory.forget()

    # What the client says.

    def hear(self, pcm: bytes) -> bool:
        """Takes PCM s16le from the microphone; False when too much waits already."""
        return self._listener.push(pcm)

    def end_of_audio(self) -> bool:
        """Nothing more will be said; False when too much audio waits already."""
        return self._listener.push(None)

    def ask(self, text: str) -> None:
        """A typed question; it interrupts what is being said."""
        self._quieten()
        turn = self._new_turn()
        turn.timeline.mark("text", self._now())
        self._answer(turn, text)
        self._reveal(turn)

    def greet(self) -> bool:
        """Speaks the greeting; False where there is none."""
        if not self._phrases.greeting:
            return False
        self._quieten()
        turn = self._new_turn()
        self._start(self._run(turn, turn.say(self._phrases.greeting)))
        self._reveal(turn)
        return True

    def interrupt(self) -> None:
        """The visitor wants silence."""
        self._quieten()
        self._announcer.tell_state("idle")

    def _quieten(self) -> None:
        """Drops what is said, and what is being heard."""
        self._floor.drop()
        self._drafts.drop()
        self._stop_turn("interrupted")

    def playhead(self, message: wire.Playhead) -> None:
        """The client reports how far the answer was heard, and what it showed."""
        turn, now_s = self._turn, self._now()
        if (
            turn is None
            or turn.settings.number != message.turn
            or not 0.0 <= message.pts < math.inf
        ):
            return
        age_s = now_s - (now_s if message.at_s is None else message.at_s)
        if not 0.0 <= age_s <= BELIEVED_S:
            age_s = 0.0
        turn.playback.report(message.pts, age_s=age_s)
        self._echo.played.report(message.turn, message.pts)
        turn.av_offset.reported(
            message.pts, now_s - age_s, offset_s=message.offset_s, dropped=message.dropped
        )

    def picture_sent(self, header: wire.Video) -> None:
        """A picture has left for the client."""
        turn = self._turn
        if turn is not None and turn.settings.number == header.turn and header.is_driven:
            turn.av_offset.sent(header.pts, turn.playback.position_s)

    async def _listen(self) -> None:
        while True:
            try:
                await self._floor.listen()
            except HalfsecondError as error:
                self._announcer.tell_failure("listening failed", error)

    async def _watch_microphone(self) -> None:
        """Answers what was heard when the microphone fails in the middle of it."""
        while True:
            await asyncio.sleep(MICROPHONE_LIMIT_S / 4)
            has_failed = self._listener.silent_for_s > MICROPHONE_LIMIT_S
            if has_failed and self._floor.is_hearing and self._listener.is_caught_up:
                what = (
                    f"no audio came for {MICROPHONE_LIMIT_S:g} s in the middle of speech; what was "
                    "heard is answered. Send silence too, or `end_of_audio`"
                )
                self._announcer.tell_error("microphone_stopped", what)
                self._listener.push(None)

    # What the floor decides (see `Answers`).

    @property
    def is_answering(self) -> bool:
        return self._turn is not None

    def confirm(self, utterance: Utterance) -> None:
        self._reveal(self._drafts.take(utterance))

    def pause(self) -> None:
        if self._turn is not None:
            self._turn.pause()
            self._announcer.tell_state("listening", self._turn)

    def resume(self) -> None:
        if (turn := self._turn) is not None and turn.playback.is_paused:
            turn.resume()
            self._announcer.tell_state(
                "speaking" if turn.playback.has_started else "thinking", turn
            )

    def stop(self, *, is_reopened: bool) -> None:
        METRICS.reopened_turns.inc(is_reopened)
        self._stop_turn("interrupted", is_remembered=not is_reopened)
        self._announcer.tell_state("listening")

    def speech(self, *, is_speaking: bool) -> None:
        self._announcer.tell_speech(at_s=self._listener.heard_s, is_speaking=is_speaking)
        if is_speaking and self._turn is None:
            self._announcer.tell_state("listening")

    async def words(self, utterance: Utterance, to_sample: int) -> Transcript | None:
        samples = self._listener.since(utterance.sound_from, to_sample)
        heard: Transcript | None = None
        async for transcript in self._engines.asr.run(
            AsrRequest(samples, self._language), Cancel()
        ):
            heard = transcript
        return heard

    # Turns.

    @property
    def _language(self) -> str | None:
        return self._hello.language or self._config.language

    def _new_turn(self) -> Turn:
        self._turns += 1
        settings = TurnSettings(
            session=self.name,
            number=self._turns,
            generation=self._announcer.generation + 1,
            sampling=sampling_of(self._config),
            speed=self._config.tts.speed,
            video=self._hello.video,
            build_messages=self._memory.messages,
            build_judged=self._memory.judged,
            phrases=self._phrases,
            is_settled=self._endpointing.is_settled,
            avatar=self._hello.avatar or "",
            voiceprint=self.files.voiceprint,
            fps=self._hello.fps or 0,
        )
        return Turn(settings, self._engines, self._send, self._now)

    def _send(self, header: wire.Header, payload: bytes) -> None:
        """Hands over what a turn has made; the echo canceller is told what will be heard."""
        if isinstance(header, wire.Audio):
            self._echo.played.add(header.turn, pcm16_to_float(payload))
        elif isinstance(header, wire.Pause):
            self._echo.played.pause()
        elif isinstance(header, wire.Resume):
            self._echo.played.resume()
        self.outbox.put(header, payload)

    def _reveal(self, turn: Turn) -> None:
        turn.timeline.mark("endpoint", self._now())
        turn.timeline.spans += self._drafts.take_waste()
        self._announcer.generation = turn.settings.generation
        self._turn = turn
        self._announcer.tell_state("thinking", turn)
        turn.reveal()

    def _answer(self, turn: Turn, question: str | Spoken) -> None:
        """Runs a turn; what is found out on the way may end the visitor's utterance."""
        self._start(self._run(turn, turn.run(question, on_heard=self._floor.look)))

    async def _run(self, turn: Turn, running: Coroutine[Any, Any, wire.TurnEndReason]) -> None:
        """Runs a turn to its end and says how it ended, unless somebody stopped it before."""
        watcher = asyncio.create_task(self._watch(turn))
        failure: Exception | None = None
        try:
            reason = await running
            await turn.wait_revealed()
            if reason == "complete" and turn.playback.sent_s:
                end_s = max(turn.playback.sent_s, turn.animation.end_s)
                await turn.playback.wait_until_near(end_s, ahead_s=0.0)
        except Exception as error:  # whatever it was, the turn must end for the next one to begin
            reason, failure = "failed", error
            await turn.wait_revealed()
        finally:
            watcher.cancel()
            if turn.is_dropped:
                self._drafts.count_waste(turn)
        if turn is not self._turn:
            return
        if failure is not None:
            self._announcer.tell_failure("turn failed", failure, turn=turn.settings.number)
        self._finish(turn, reason)
        self._floor.answer_ended()

    async def _watch(self, turn: Turn) -> None:
        """The state becomes "speaking" with the first sample."""
        await turn.playback.wait_started()
        if turn is self._turn and not turn.playback.is_paused:
            self._announcer.tell_state("speaking", turn)

    def _stop_turn(self, reason: wire.TurnEndReason, *, is_remembered: bool = True) -> None:
        """Cuts the answer off: every stage drops it, and so must the client."""
        turn = self._turn
        if turn is None:
            return
        turn.cancel()
        self._echo.played.stop()
        turn.timeline.mark("interrupted", self._now())
        self._announcer.generation += 1
        self.outbox.drop_before(self._announcer.generation)
        self._finish(turn, reason, is_remembered=is_remembered)

    def _finish(
        self, turn: Turn, reason: wire.TurnEndReason, *, is_remembered: bool = True
    ) -> None:
        self._turn = None
        heard = turn.answer if reason == "complete" else turn.playback.heard_text()
        if turn.question and heard and is_remembered:
            self._memory.remember(turn.question, heard.strip())
        turn.timeline.mark("end", self._now())
        METRICS.observe(turn.timeline, reason)
        self._announcer.tell_end(turn, reason)
        self._log_turn(turn, reason, turn.av_offset.end())
        self._announcer.tell_state("idle")
        self._start(self._memory.prefill())

    def _log_turn(self, turn: Turn, reason: str, av: AvFigures) -> None:
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
            **turn.timeline.first_ms(),
            **av.fields(),
            **words,
        )

    # Small things.

    def _is_drawing(self) -> bool:
        """Whether a turn has the driver; in a pause the face rests."""
        return any(
            turn.animation.is_drawing and not turn.playback.is_paused for turn in self._live_turns()
        )

    def _live_turns(self) -> list[Turn]:
        return [turn for turn in (self._turn, self._drafts.turn) if turn is not None]

    def _start(self, coroutine: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._announcer.tell_fault("session task failed", error)
