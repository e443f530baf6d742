"""The two questions: does it hear itself, and does it still hear the visitor?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halfsecond import audio
from halfsecond.config import Config
from halfsecond.errors import ConfigError
from halfsecond.models.asr.recognizer import Recognizer
from halfsecond.models.echo.canceller import EchoCanceller, NoCanceller
from halfsecond.models.vad.segmenter import Segmenter, SegmenterConfig
from halfsecond.models.vad.silero import SileroVad
from halfsecond_bench.clips import Clip
from halfsecond_bench.echo.report import DoubleTalkRow, EchoRow
from halfsecond_bench.echo.room import ROOMS, at_level
from halfsecond_bench.echo.visit import Heard, Link, Scene, Visit
from halfsecond_bench.statistics import distribution
from halfsecond_bench.wer import word_errors

RATE_HZ = 16_000
SPEECH_RATE_HZ = 24_000
VISITOR_DBFS = -26.0
"""Level of the recorded questions, and of what an echo is compared with."""
LINKS = (
    Link("0 ms", 0.0),
    Link("40 ms", 0.04),
    Link("120 ms", 0.12),
    Link("250 ms", 0.25),
    Link("60 ms, jitter 15 ms, drift 100 ppm, playhead told", 0.06, 0.015, 1e-4, reports=True),
)
ECHO_DB = (6.0, 0.0, -6.0, -12.0, -20.0, -30.0)
"""Of the echo against the visitor."""
TALK_DB = (6.0, 0.0, -6.0, -12.0, None)
"""The same while the visitor speaks; None is no echo at all."""
NO_ECHO_DB = -100.0
FIRST_S = 1.0
GAP_S = 2.0
ANSWERS_EACH = 3
TALK_AFTER_S = 1.2
"""A visitor begins this long after the first packet of an answer."""
ALONE_S = 1.024
"""When a question begins that nobody else speaks beside, in whole windows."""
WINDOW_S = 0.032
PRE_ROLL_S = 0.3

Answers = Sequence[NDArray[np.float32]]
"""At 24 kHz."""
OpenCanceller = Callable[[], EchoCanceller]


@dataclass(frozen=True)
class Ears:
    """What hears, with the settings of the server."""

    config: Config
    vad_model: Path
    recognizer: Recognizer

    def hear(self, visit: Visit, canceller: EchoCanceller) -> Heard:
        """The visit as this server takes it, from a fresh start."""
        turn, vad = self.config.turn, self.config.vad
        segmenter = Segmenter(
            SegmenterConfig(
                on_probability=vad.onset,
                off_probability=vad.offset,
                min_speech_s=turn.min_speech_s,
                pause_s=turn.pause_s,
                silence_s=self.config.endpoint.longest_silence_s,
                max_utterance_s=turn.max_utterance_s,
            )
        )
        return visit.run(canceller, hear=SileroVad(self.vad_model).push, segmenter=segmenter)

    def words(self, samples: NDArray[np.float32]) -> str:
        """What is understood of (n,) at 16 kHz."""
        return self.recognizer.transcribe(samples, language="en").text


def in_turn(answers: Answers, length: int, *, echo_db: float, seed: int) -> Scene:
    """A scene of some of the answers, one after another, drawn by the seed."""
    order = np.random.default_rng(seed).permutation(len(answers))[:length]
    starts_s, at_s = [], FIRST_S
    for number in order:
        starts_s.append(at_s)
        at_s += len(answers[number]) / SPEECH_RATE_HZ + GAP_S
    return Scene([answers[i] for i in order], starts_s, VISITOR_DBFS + echo_db, at_s)


def echo_alone(
    ears: Ears,
    answers: Answers,
    cancellers: Mapping[str, OpenCanceller],
    *,
    link: Link,
    echo_db: float,
    sessions: int,
) -> EchoRow:
    """False starts of speech in answers that nobody speaks over, one canceller beside another."""
    false = dict.fromkeys(cancellers, 0)
    first = dict.fromkeys(cancellers, 0)
    for number in range(sessions):
        scene = in_turn(answers, ANSWERS_EACH, echo_db=echo_db, seed=number)
        for name, open_canceller in cancellers.items():
            visit = Visit(scene, ROOMS[number % len(ROOMS)], link, seed=number)
            starts = ears.hear(visit, open_canceller()).starts
            false[name] += len(starts)
            first[name] += sum(at_s < scene.starts_s[1] for at_s, _ in starts)
    return EchoRow(
        link=link.name,
        echo_db=echo_db,
        answers=sessions * ANSWERS_EACH,
        false_starts=false,
        in_first_answers=first,
    )


@dataclass(frozen=True)
class Question:
    """A recorded question, and what the server makes of it in a quiet room without a canceller."""

    clip: Clip
    samples: NDArray[np.float32]
    told_after_s: float
    """From its first sample to the decision that somebody speaks."""
    words: str


def asked_alone(ears: Ears, clip: Clip) -> Question:
    """A question that is heard in a quiet room.

    Raises:
        ConfigError: no speech is heard in it.
    """
    samples = at_level(audio.load(clip.path).samples, VISITOR_DBFS)
    scene = Scene([], [], VISITOR_DBFS, ALONE_S + len(samples) / RATE_HZ + 1.0)
    scene.visitor, scene.visitor_s = samples, ALONE_S
    heard = ears.hear(Visit(scene, ROOMS[0], LINKS[0], seed=0), NoCanceller())
    told_s = _told(heard, ALONE_S)
    if told_s is None:
        raise ConfigError(f"no speech is heard in {clip.file}; give clips that hold a question")
    return Question(clip, samples, told_s - ALONE_S, _words(ears, heard, ALONE_S))


def double_talk(
    ears: Ears,
    answers: Answers,
    questions: Sequence[Question],
    open_canceller: OpenCanceller,
    *,
    link: Link,
    echo_db: float | None,
    answers_before: int,
    stops: bool,
) -> DoubleTalkRow:
    """Questions spoken over an answer: how much later they are heard, and which words remain.

    echo_db: None is a microphone that hears no echo. answers_before: how many were played in the
        session before. stops: whether the answer stops once the visitor is heard.
    """
    late_ms: list[float | None] = []
    pairs = []
    for number, question in enumerate(questions):
        scene = _spoken_over(answers, question, echo_db, answers_before, seed=number)
        scene.stops_when_heard = stops
        visit = Visit(scene, ROOMS[number % len(ROOMS)], link, seed=number)
        heard = ears.hear(visit, open_canceller())
        told_s = _told(heard, scene.visitor_s)
        due_s = scene.visitor_s + question.told_after_s
        late_ms.append(None if told_s is None else 1000 * (told_s - due_s))
        pairs.append((question.clip.transcript, _words(ears, heard, scene.visitor_s)))
    errors = word_errors(pairs)
    return DoubleTalkRow(
        link=link.name,
        echo_db=echo_db,
        answers_before=answers_before,
        answer_stops=stops,
        questions=len(questions),
        missed=[q.clip.file for q, ms in zip(questions, late_ms, strict=True) if ms is None],
        late_ms=distribution(late_ms),
        wer=round(errors.rate, 4),
        wer_alone=round(word_errors([(q.clip.transcript, q.words) for q in questions]).rate, 4),
        words=errors.words,
    )


def _spoken_over(
    answers: Answers, question: Question, echo_db: float | None, answers_before: int, *, seed: int
) -> Scene:
    """The last answer is spoken over."""
    level_db = NO_ECHO_DB if echo_db is None else echo_db
    scene = in_turn(answers, answers_before + 1, echo_db=level_db, seed=seed)
    begin_s = scene.starts_s[-1] + TALK_AFTER_S
    scene.visitor = question.samples
    scene.visitor_s = round(begin_s / WINDOW_S) * WINDOW_S  # windows lie as in the quiet room
    scene.length_s = scene.visitor_s + len(scene.visitor) / RATE_HZ + 1.0
    return scene


def _words(ears: Ears, heard: Heard, visitor_s: float) -> str:
    return ears.words(heard.samples[int((visitor_s - PRE_ROLL_S) * RATE_HZ) :])


def _told(heard: Heard, visitor_s: float) -> float | None:
    """When the server knew that the visitor speaks; None if it never did."""
    decided = [told_s for at_s, told_s in heard.starts if told_s > visitor_s]
    return decided[0] if decided else None
