"""One visitor: turns begin, are shown, pause and end as the floor decides."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Coroutine
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from halfsecond import wire
from halfsecond.audio import pcm16_to_float
from halfsecond.bus.outbox import Outbox
from halfsecond.config import Config
from halfsecond.errors import HalfsecondError
from halfsecond.metrics import METRICS
from halfsecond.models.asr.recognizer import Transcript
from halfsecond.models.echo.registry import open_canceller
from halfsecond.models.llm.persona import Persona
from halfsecond.stages.asr import AsrRequest
from halfsecond.stages.av_offset import AvFigures
from halfsecond.stages.echo import EchoCancellation
from halfsecond.stages.endpointing import Endpointing
from halfsecond.stages.engines import Engines, sampling_of
from halfsecond.stages.face import Face
from halfsecond.stages.floor import Floor, Utterance
from halfsecond.stages.lipsync import Picture
from halfsecond.stages.listening import Listener
from halfsecond.stages.memory import Memory
from halfsecond.stages.phrases import Phrases
from halfsecond.stages.stage import Cancel
from halfsecond.stages.transcribing import LiveTranscript
from halfsecond.stages.turn import Spoken, Turn, TurnSettings
from halfsecond.stages.visitor_files import VisitorFiles
from halfsecond.timeline import Now, Span, monotonic
from halfsecond.uploads.workshop import Workshop

log = structlog.get_logger(__name__)

MICROPHONE_LIMIT_S = 2.0
"""A microphone that sends nothing for this long in the middle of speech, not even silence, has
failed. Less takes a network's hiccup for it; more keeps the visitor waiting."""
BELIEVED_S = 1.0
"""A playhead that was heard longer ago, or is yet to come, is of a clock that is not in step."""
INTERNAL = "the server failed on this session; see its log"


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
        self._generation = 0
        self._turns = 0
        self._state_sent: tuple[wire.State, int] = ("idle", 0)
        self._turn: Turn | None = None
        self._draft: Turn | None = None
        """The turn that is made in secret while the visitor may still go on."""
        self._wasted: list[Span] = []
        """Work on drafts that were dropped since the last turn was shown."""
        self._transcript: tuple[int, LiveTranscript] | None = None
        """Of the utterance that begins at that sample."""
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
            is_drawing=lambda: any(turn.is_drawing for turn in self._live_turns()),
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
        self._floor = Floor(
            self,
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
                generation=lambda: self._generation,
                mood=lambda: self._state_sent[0],
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
        self._start(self._run(turn, turn.run(text, on_heard=self._floor.look)))
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
        self._set_state("idle")

    def _quieten(self) -> None:
        """Drops what is said, and what is being heard."""
        self._floor.drop()
        self.drop_draft()
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
                log.error("listening failed", session=self.name, error=str(error))
                self._say_error("stage_failed", str(error))

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
                self._say_error("microphone_stopped", what)
                self._listener.push(None)

    # What the floor decides (see `Answers`).

    @property
    def is_answering(self) -> bool:
        return self._turn is not None

    @property
    def draft_words(self) -> str | None:
        return self._draft.question if self._draft is not None and self._draft.is_heard else None

    @property
    def is_draft_judged(self) -> bool:
        return self._draft is not None and self._draft.is_judged

    @property
    def has_draft(self) -> bool:
        return self._draft is not None

    @property
    def draft_sentence_end(self) -> float | None:
        return self._draft.sentence_end if self._draft is not None else None

    def begin_draft(self, utterance: Utterance, last_sample: int) -> None:
        self.drop_draft()
        turn = self._new_turn()
        turn.timeline.mark("last_speech", self._listener.arrived_at_s(last_sample))
        turn.timeline.mark("begun", self._now())
        self._draft = turn
        samples = self._listener.since(utterance.from_sample)
        final = self._transcript_of(utterance).final
        question = Spoken(len(samples) / 16_000, lambda cancel: final(samples, cancel))
        self._start(self._run(turn, turn.run(question, on_heard=self._floor.look)))

    def listen_in(self, utterance: Utterance) -> None:
        transcript = self._transcript_of(utterance)
        if transcript.is_due(self._listener.judged_sample - utterance.from_sample):
            self._start(self._hear_ahead(transcript, self._listener.since(utterance.from_sample)))

    async def _hear_ahead(self, transcript: LiveTranscript, samples: NDArray[np.float32]) -> None:
        """Tells the client what was heard so far."""
        before = transcript.best.text
        await transcript.partial(samples)
        if (text := transcript.best.text) != before:
            heard = wire.Transcript(
                session=self.name, generation=self._generation, text=text, is_final=False
            )
            self.outbox.put(heard)

    def _transcript_of(self, utterance: Utterance) -> LiveTranscript:
        """What is known of an utterance; one that goes on keeps what was heard of its beginning."""
        if self._transcript is None or self._transcript[0] != utterance.from_sample:
            live = LiveTranscript(self._engines.asr, language=self._language)
            self._transcript = (utterance.from_sample, live)
        return self._transcript[1]

    def drop_draft(self) -> None:
        if self._draft is not None:
            METRICS.wasted_drafts.inc()
            self._draft.cancel()
            self._draft = None

    def confirm(self, utterance: Utterance) -> None:
        if self._draft is None:
            self.begin_draft(utterance, utterance.last_sample or self._listener.judged_sample)
        draft, self._draft = self._draft, None
        if draft is not None:
            self._reveal(draft)

    def pause(self) -> None:
        if self._turn is not None:
            self._turn.pause()
            self._set_state("listening", self._turn)

    def resume(self) -> None:
        if (turn := self._turn) is not None and turn.playback.is_paused:
            turn.resume()
            self._set_state("speaking" if turn.playback.has_started else "thinking", turn)

    def stop(self, *, is_reopened: bool) -> None:
        METRICS.reopened_turns.inc(is_reopened)
        self._stop_turn("interrupted", is_remembered=not is_reopened)
        self._set_state("listening")

    def speech(self, *, is_speaking: bool) -> None:
        self.outbox.put(
            wire.Speech(
                session=self.name,
                generation=self._generation,
                pts=self._listener.heard_s,
                is_speaking=is_speaking,
            )
        )
        if is_speaking and self._turn is None:
            self._set_state("listening")

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
            generation=self._generation + 1,
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
        turn.timeline.spans += self._wasted
        self._wasted = []
        self._generation = turn.settings.generation
        self._turn = turn
        self._set_state("thinking", turn)
        turn.reveal()

    async def _run(self, turn: Turn, running: Coroutine[Any, Any, wire.TurnEndReason]) -> None:
        """Runs a turn to its end and says how it ended, unless somebody stopped it before."""
        watcher = asyncio.create_task(self._watch(turn))
        failure: Exception | None = None
        try:
            reason = await running
            await turn.wait_revealed()
            if reason == "complete" and turn.playback.sent_s:
                end_s = max(turn.playback.sent_s, turn.video_end_s)
                await turn.playback.wait_until_near(end_s, ahead_s=0.0)
        except Exception as error:  # whatever it was, the turn must end for the next one to begin
            reason, failure = "failed", error
            await turn.wait_revealed()
        finally:
            watcher.cancel()
            if turn.is_dropped:
                self._count_waste(turn)
        if turn is not self._turn:
            return
        if failure is not None:
            self._say_failure(turn, failure)
        self._finish(turn, reason)
        self._floor.answer_ended()

    def _count_waste(self, turn: Turn) -> None:
        for span in turn.timeline.spans:
            METRICS.wasted_s.labels(span.stage).inc(span.end_s - span.start_s)
            self._wasted.append(Span("dropped", span.stage, span.start_s, span.end_s))

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
        if turn is self._turn and not turn.playback.is_paused:
            self._set_state("speaking", turn)

    def _stop_turn(self, reason: wire.TurnEndReason, *, is_remembered: bool = True) -> None:
        """Cuts the answer off: every stage drops it, and so must the client."""
        turn = self._turn
        if turn is None:
            return
        turn.cancel()
        self._echo.played.stop()
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
            self._memory.remember(turn.question, heard.strip())
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
        self._log_turn(turn, reason, turn.av_offset.end())
        self._set_state("idle")
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

    def _set_state(self, state: wire.State, turn: Turn | None = None) -> None:
        number = turn.settings.number if turn else 0
        if (state, number) == self._state_sent:
            return
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

    def _is_drawing(self) -> bool:
        """Whether a turn has the driver; in a pause the face rests."""
        return any(t.is_drawing and not t.playback.is_paused for t in self._live_turns())

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
