"""Turns that are made in secret, while the visitor may still go on."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsecond.metrics import METRICS
from halfsecond.models.asr.recognizer import Transcript
from halfsecond.stages.asr import AsrRequest
from halfsecond.stages.listening import RATE_HZ, Listener
from halfsecond.stages.stage import StageHandle
from halfsecond.stages.transcribing import LiveTranscript
from halfsecond.stages.turn import Spoken, Turn
from halfsecond.stages.utterance import Utterance
from halfsecond.timeline import Now, Span


class Drafts:
    """One session's, one at a time; everything happens on the event loop.

    begin_turn: makes the turn that a draft is, with its marks still to come.
    answer: runs that turn with a question, until it is dropped or over.
    on_partial: takes the words that were heard of an utterance so far, whenever they change.
    start: runs a coroutine for as long as the session lives.
    """

    def __init__(
        self,
        listener: Listener,
        asr: StageHandle[AsrRequest, Transcript],
        *,
        language: str | None,
        begin_turn: Callable[[], Turn],
        answer: Callable[[Turn, Spoken], None],
        on_partial: Callable[[str], None],
        start: Callable[[Coroutine[Any, Any, None]], None],
        now: Now,
    ) -> None:
        self._listener = listener
        self._asr = asr
        self._language = language
        self._begin_turn = begin_turn
        self._answer = answer
        self._on_partial = on_partial
        self._start = start
        self._now = now
        self._turn: Turn | None = None
        self._transcript: tuple[int, LiveTranscript] | None = None
        """Of the utterance that begins at that sample."""
        self._wasted: list[Span] = []
        """Work on drafts that were dropped since the last turn was shown."""

    @property
    def turn(self) -> Turn | None:
        """The draft, if there is one."""
        return self._turn

    @property
    def has_one(self) -> bool:
        """Whether a turn is being made in secret."""
        return self._turn is not None

    @property
    def words(self) -> str | None:
        """What was heard in the draft, once that is known."""
        return self._turn.question if self._turn is not None and self._turn.is_heard else None

    @property
    def sentence_end(self) -> float | None:
        """How likely that ends where it does, once that is known."""
        return self._turn.sentence_end if self._turn is not None else None

    @property
    def is_judged(self) -> bool:
        """Whether the language model has said all that it can say of the draft's end."""
        return self._turn is not None and self._turn.is_judged

    def begin(self, utterance: Utterance, last_sample: int) -> Turn:
        """Runs ahead: makes a turn in secret of an utterance whose last speech is that."""
        self.drop()
        turn = self._begin_turn()
        turn.timeline.mark("last_speech", self._listener.arrived_at_s(last_sample))
        turn.timeline.mark("begun", self._now())
        self._turn = turn
        samples = self._listener.since(utterance.from_sample)
        final = self._transcript_of(utterance).final
        self._answer(turn, Spoken(len(samples) / RATE_HZ, lambda cancel: final(samples, cancel)))
        return turn

    def drop(self) -> None:
        """The visitor goes on: what was made in secret is void."""
        if self._turn is not None:
            METRICS.wasted_drafts.inc()
            self._turn.cancel()
            self._turn = None

    def take(self, utterance: Utterance) -> Turn:
        """The visitor has finished: the turn that was made ahead, or one that begins now."""
        last_sample = utterance.last_sample or self._listener.judged_sample
        turn = self._turn or self.begin(utterance, last_sample)
        self._turn = None
        return turn

    def listen_in(self, utterance: Utterance) -> None:
        """The visitor speaks on: what was said so far may be heard ahead of the end."""
        transcript = self._transcript_of(utterance)
        if transcript.is_due(self._listener.judged_sample - utterance.from_sample):
            self._start(self._hear_ahead(transcript, self._listener.since(utterance.from_sample)))

    def count_waste(self, turn: Turn) -> None:
        """Keeps the work that a dropped turn was, until `take_waste`."""
        for span in turn.timeline.spans:
            METRICS.wasted_s.labels(span.stage).inc(span.end_s - span.start_s)
            self._wasted.append(Span("dropped", span.stage, span.start_s, span.end_s))

    def take_waste(self) -> list[Span]:
        """Work on turns that were dropped since the last call."""
        wasted, self._wasted = self._wasted, []
        return wasted

    async def _hear_ahead(self, transcript: LiveTranscript, samples: NDArray[np.float32]) -> None:
        before = transcript.best.text
        await transcript.partial(samples)
        if (text := transcript.best.text) != before:
            self._on_partial(text)

    def _transcript_of(self, utterance: Utterance) -> LiveTranscript:
        """What is known of an utterance; one that goes on keeps what was heard of its beginning."""
        if self._transcript is None or self._transcript[0] != utterance.from_sample:
            live = LiveTranscript(self._asr, language=self._language)
            self._transcript = (utterance.from_sample, live)
        return self._transcript[1]
