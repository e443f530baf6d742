"""When what happened in one turn: marks and spans on one monotonic clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

import msgspec

Now = Callable[[], float]
"""A monotonic clock in seconds; CLOCK_MONOTONIC is shared by all processes of a machine."""

monotonic: Now = time.monotonic


class Span(msgspec.Struct, frozen=True):
    """One stage at work."""

    stage: str
    detail: str
    start_s: float
    end_s: float


@dataclass
class Wait:
    """How long a span's first request waits for the engine before it is worked on."""

    now: Now
    until_s: float | None = None
    """When its work began; None until then."""

    def end(self) -> None:
        """The engine begins; later calls change nothing. Safe from any thread."""
        if self.until_s is None:
            self.until_s = self.now()


current_wait: ContextVar[Wait | None] = ContextVar("current_wait", default=None)
"""The wait of the span that encloses the caller: a stage's queue ends it."""


class Timeline(msgspec.Struct, kw_only=True):
    """The record of one turn. Times are seconds on the clock that it was recorded with."""

    turn: int
    marks: dict[str, float] = {}
    """Moments by name; the first of a name stands."""
    spans: list[Span] = []
    question: str = ""
    answer: str = ""

    def mark(self, name: str, at_s: float) -> None:
        """Notes a moment, unless one of that name was noted before."""
        self.marks.setdefault(name, at_s)

    @contextmanager
    def span(self, stage: str, detail: str = "", *, now: Now = monotonic) -> Iterator[None]:
        """Notes how long the body took, also when it fails.

        Where a request in it waited for an engine of this process, `STAGE.queue` tells how long.
        """
        start_s = now()
        wait = Wait(now)
        token = current_wait.set(wait)
        try:
            yield
        finally:
            current_wait.reset(token)
            self.spans.append(Span(stage, detail, start_s, now()))
            if wait.until_s is not None:
                self.spans.append(Span(f"{stage}.queue", detail, start_s, wait.until_s))

    def relative(self) -> Timeline:
        """The same turn in seconds after the visitor's last speech sample.

        A turn that was typed counts from the arrival of the text.
        """
        origin_s = self.marks.get("last_speech", min(self.marks.values(), default=0.0))
        return Timeline(
            turn=self.turn,
            marks={name: at_s - origin_s for name, at_s in self.marks.items()},
            spans=[
                Span(s.stage, s.detail, s.start_s - origin_s, s.end_s - origin_s)
                for s in self.spans
            ],
            question=self.question,
            answer=self.answer,
        )

    def first_ms(self) -> dict[str, float]:
        """What the visitor waited for, as far as it came: milliseconds by name."""
        marks = self.relative().marks
        names = {"first_audio_ms": "first_audio_sent", "first_frame_ms": "first_frame_sent"}
        return {key: round(1000 * marks[name], 1) for key, name in names.items() if name in marks}

    def write_json(self, path: Path) -> None:
        """Writes the turn, indented, in seconds after the last speech sample."""
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self.relative()), indent=2))


def read_timeline(path: Path) -> Timeline:
    """A timeline that `write_json` wrote."""
    return msgspec.json.decode(path.read_bytes(), type=Timeline)
