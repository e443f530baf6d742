"""What the first sound of an answer waited for, piece by piece, and which piece is to blame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from halfsecond.timeline import Span, Timeline


@dataclass(frozen=True)
class Stage:
    """A piece of the wait: what it is called, and how long it may take."""

    key: str
    name: str
    """As a part of a sentence."""
    budget_ms: float
    why: str


STAGES = (
    Stage("pause", "the silence before work begins", 100,
          "three windows of 32 ms tell a pause from the gap inside a word"),
    Stage("asr", "speech recognition", 50,
          "Whisper tiny.en took 25 to 50 ms for 2 to 3.5 s of speech on one thread"),
    Stage("judge", "the look at whether the question is whole", 20,
          "the language model reads the question once, as it must for the answer"),
    Stage("llm", "the language model's first clause", 95,
          "42 ms to the first token and 11 ms for each of some five more"),
    Stage("tts", "the voice's first samples", 20,
          "the voice took 10 ms alone; the language model shares its cores"),
    Stage("held", "the wait until the turn is confirmed", 0,
          "an answer that is ready should not be held back"),
    Stage("delivery", "the way to the client", 15,
          "a hop over the wire is under 1 ms; the rest is silence that the voice begins with"),
    Stage("lips", "the lips' first picture", 50,
          "two pictures of Wav2Lip INT8 took 50 to 80 ms, of the mesh driver 10"),
)  # fmt: skip
"""Up to "delivery" the budgets add up to the 300 ms of the first sound, with "lips" to 350 ms.

Reasons name what each part took when it was measured alone on two cores of a Xeon."""
BUDGET = {stage.key: stage for stage in STAGES}


@dataclass(frozen=True)
class Piece:
    """What the answer waited for from one moment to the next, in ms after the last speech."""

    stage: str
    start_ms: float
    end_ms: float

    @property
    def length_ms(self) -> float:
        """How long it was on the way."""
        return self.end_ms - self.start_ms


def pieces_of(turn: Timeline) -> list[Piece]:
    """The wait of a turn without a gap, from the last speech to the first picture.

    Up to the first sound, and no further, where there was no picture; nothing without a sound.
    Work that was done before the last speech took nothing of the wait.
    """
    marks = turn.relative().marks
    if (heard_s := marks.get("first_audio_heard")) is None:
        return []
    ready_s = marks.get("tts_first_chunk", heard_s)
    begun = [*_work_begun(turn.relative()), ("held", ready_s)]
    begun.append(("delivery", max(ready_s, min(marks.get("endpoint", ready_s), heard_s))))
    begun.append(("lips", heard_s))
    ends_s = [*(start_s for _, start_s in begun[1:]), marks.get("first_frame_seen", heard_s)]
    pieces = [
        Piece(stage, max(0.0, 1000 * start_s), max(0.0, 1000 * end_s))
        for (stage, start_s), end_s in zip(begun, ends_s, strict=True)
    ]
    return [piece for piece in pieces if piece.length_ms > 0]


def _work_begun(turn: Timeline) -> list[tuple[str, float]]:
    """When each stage began the piece of work that became the first sound."""
    tts = _span_over(turn.spans, "tts", turn.marks.get("tts_first_chunk"))
    llm = _span_over(turn.spans, "llm", turn.marks.get("llm_first_clause"))
    judges = [s for s in turn.spans if s.stage == "llm" and s.detail == "judge" and s is not llm]
    judge = _last_before(llm or tts, judges)
    asr = _last_before(judge or llm or tts, [s for s in turn.spans if s.stage == "asr"])
    found = [("asr", asr), ("judge", judge), ("llm", llm), ("tts", tts)]
    return [("pause", 0.0), *((stage, span.start_s) for stage, span in found if span)]


def _last_before(span: Span | None, earlier: Sequence[Span]) -> Span | None:
    """The span that ended last before another began."""
    found = [s for s in earlier if span and s.end_s <= span.start_s]
    return max(found, key=lambda s: s.end_s, default=None)


def _span_over(spans: Sequence[Span], stage: str, at_s: float | None) -> Span | None:
    """The latest span of a stage that was at work at a moment."""
    found = [
        s for s in spans if s.stage == stage and at_s is not None and s.start_s <= at_s <= s.end_s
    ]
    return max(found, key=lambda s: s.start_s, default=None)
