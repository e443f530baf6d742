"""Who has the floor: the microphone of one session decides when turns begin, pause and stop.

    vad events ─┬─ nobody answers ─▶ Endpointing ─▶ draft, confirm, drop
                └─ an answer runs ─▶ BargeIn ─────▶ pause, resume, stop

The floor knows utterances and no answers; what it decides is carried out by `Drafts` and by an
`Answers`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import structlog

from halfsecond.config import TurnConfig
from halfsecond.errors import HalfsecondError
from halfsecond.models.asr.recognizer import Transcript
from halfsecond.models.vad.loudness import SoundFell, SoundRose
from halfsecond.models.vad.segmenter import (
    SpeechEnded,
    SpeechEvent,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
)
from halfsecond.stages.barge_in import BargeIn, Decision
from halfsecond.stages.drafts import Drafts
from halfsecond.stages.endpointing import Endpointing
from halfsecond.stages.listening import RATE_HZ, Listener
from halfsecond.stages.utterance import Utterance

log = structlog.get_logger(__name__)


class Answers(Protocol):
    """What the floor asks of the session's turns."""

    @property
    def is_answering(self) -> bool:
        """Whether a turn was revealed and has not ended."""
        ...

    def confirm(self, utterance: Utterance) -> None:
        """The visitor has finished: the draft is shown, or a turn begins now."""
        ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def stop(self, *, is_reopened: bool) -> None:
        """The answer is dropped; `is_reopened`: its question went on, so both are void."""
        ...

    def speech(self, *, is_speaking: bool) -> None:
        """Tells the client."""
        ...

    async def words(self, utterance: Utterance, to_sample: int) -> Transcript | None:
        """What was said in the newest stretch of speech, up to `to_sample`."""
        ...


class Floor:
    """Feeds on the listener's events; see `Answers` for what comes of them."""

    def __init__(
        self,
        answers: Answers,
        drafts: Drafts,
        listener: Listener,
        endpointing: Endpointing,
        config: TurnConfig,
        *,
        start: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        """start: runs a coroutine for as long as the session lives."""
        self._answers = answers
        self._drafts = drafts
        self._listener = listener
        self._endpointing = endpointing
        self._config = config
        self._start = start
        self._barge_in = BargeIn(config)
        self._utterance: Utterance | None = None
        self._answered: Utterance | None = None
        """The last utterance that was taken for a question."""

    async def listen(self) -> None:
        """Takes the next block of the microphone; raises HalfsecondError where the VAD failed."""
        try:
            async for event in self._listener.hear():
                self._on_event(event)
        finally:
            self.look()

    def answer_ended(self) -> None:
        """There is no answer any more that speech could stop; what is being said is a question."""
        self._barge_in.reset()
        if (utterance := self._utterance) is not None:
            utterance.goes_on = False
            self._catch_up(utterance)

    @property
    def is_hearing(self) -> bool:
        """Whether somebody is in the middle of an utterance, pauses included."""
        return self._utterance is not None and not self._utterance.is_over

    def drop(self) -> None:
        """What is being said is of no interest any more."""
        self._barge_in.reset()
        self._endpointing.resumed()
        self._utterance = None

    # What the listener says.

    def _on_event(self, event: SpeechEvent | SoundFell | SoundRose) -> None:
        if isinstance(event, SpeechStarted):
            self._on_started(event)
            return
        utterance = self._utterance
        if utterance is None:
            return
        if isinstance(event, SoundFell | SoundRose):
            self._on_loudness(utterance, event)
        elif isinstance(event, SpeechPaused):
            self._on_paused(utterance, event.last_sample)
        elif isinstance(event, SpeechResumed):
            utterance.last_sample = None
            self._barge_in.went_on()
            self._endpointing.resumed()
            self._drafts.drop()
        elif isinstance(event, SpeechEnded):
            self._end(utterance, event.last_sample)

    def _on_started(self, event: SpeechStarted) -> None:
        self._answers.speech(is_speaking=True)
        self._utterance = utterance = Utterance(
            from_sample=event.from_sample, sound_from=event.from_sample, at_sample=event.at_sample
        )
        if not self._answers.is_answering:
            return
        if self._answered is not None and self._continues(self._answered, event):
            utterance.goes_on = True
            utterance.from_sample = self._answered.from_sample
        if self._config.can_interrupt and self._is_loud(event.at_sample):
            self._act(self._barge_in.started(event.at_sample, self._listener.judged_sample))

    def _on_loudness(self, utterance: Utterance, event: SoundFell | SoundRose) -> None:
        """Runs ahead at a fall of loudness, before the VAD has seen a pause."""
        if utterance.last_sample is not None or self._answers.is_answering:
            return
        if isinstance(event, SoundRose):
            self._endpointing.resumed()
            self._drafts.drop()
        elif self._config.is_speculative and self._config.is_eager:
            self._drafts.begin(utterance, event.last_sample)

    def _continues(self, answered: Utterance, event: SpeechStarted) -> bool:
        """Whether the visitor only paused: what follows belongs to the question that was taken."""
        silence_s = (event.at_sample - (answered.last_sample or 0)) / RATE_HZ
        length_s = (event.at_sample - answered.from_sample) / RATE_HZ
        return silence_s <= self._config.reopen_s and length_s < self._config.max_utterance_s

    def _is_loud(self, at_sample: int) -> bool:
        return self._listener.level_dbfs(at_sample) >= self._config.interrupt_dbfs

    def _on_paused(self, utterance: Utterance, last_sample: int) -> None:
        utterance.last_sample = last_sample
        self._barge_in.stopped(last_sample)
        if self._answers.is_answering or self._drafts.has_one:
            return
        if self._config.is_speculative:
            self._drafts.begin(utterance, last_sample)

    def _end(self, utterance: Utterance, last_sample: int) -> None:
        """The silence is long enough for everybody."""
        utterance.last_sample = last_sample
        utterance.is_over = True
        self._barge_in.stopped(last_sample)
        self._answers.speech(is_speaking=False)
        if not self._answers.is_answering:
            self._take(utterance)
        elif not self._barge_in.is_judging:
            self._utterance = None

    def _take(self, utterance: Utterance) -> None:
        """The utterance is a question."""
        self._endpointing.resumed()
        self._utterance, self._answered = None, utterance
        self._answers.confirm(utterance)

    # What follows from the time that has passed.

    def look(self) -> None:
        """Decides what has become due: after a block, and whenever something was found out."""
        if self._barge_in.is_judging:
            self._act(self._barge_in.decide(self._listener.judged_sample))
            return
        utterance = self._utterance
        if utterance is None or self._answers.is_answering:
            return
        if utterance.last_sample is None:
            self._drafts.listen_in(utterance)
            return
        silence_s = (self._listener.judged_sample - utterance.last_sample) / RATE_HZ
        words, sentence_end = self._drafts.words, self._drafts.sentence_end
        is_settled = words is not None and self._endpointing.is_settled(words, sentence_end)
        if not is_settled and (self._drafts.is_judged or not self._drafts.has_one):
            self._endpointing.ask(lambda: self._listener.since(utterance.from_sample))
        if silence_s >= self._endpointing.required_silence_s(words, sentence_end):
            self._listener.end_utterance()
            self._end(utterance, utterance.last_sample)

    def _act(self, decision: Decision) -> None:
        utterance = self._utterance
        if decision == "none" or utterance is None:
            return
        if decision == "pause":
            self._answers.pause()
        elif decision == "listen":
            end = self._listener.judged_sample
            to_sample = end if utterance.last_sample is None else utterance.last_sample
            self._start(self._find_words(utterance, to_sample))
        elif decision == "resume":
            self._answers.resume()
        elif decision == "dismiss":
            self._dismiss(utterance)
        elif decision == "stop":
            self._answers.stop(is_reopened=utterance.goes_on)
            self._catch_up(utterance)

    def _dismiss(self, utterance: Utterance) -> None:
        self._answers.resume()
        self._utterance = None
        if not utterance.is_over:
            self._listener.end_utterance()
            self._answers.speech(is_speaking=False)

    async def _find_words(self, utterance: Utterance, to_sample: int) -> None:
        try:
            heard = await self._answers.words(utterance, to_sample)
        except HalfsecondError as error:
            log.error("cannot tell what was said over the answer", error=str(error))
            heard = None
        if utterance is not self._utterance:
            return
        text, probability = (heard.text, heard.average_log_probability) if heard else ("", 0.0)
        self._act(self._barge_in.heard(text, to_sample, log_probability=probability))

    def _catch_up(self, utterance: Utterance) -> None:
        """The utterance has become a question: does what it would have done by now."""
        if utterance.is_over:
            self._take(utterance)
        elif utterance.last_sample is not None:
            self._on_paused(utterance, utterance.last_sample)
