"""The last turns that went through the gateway: when what happened, and what visitors waited."""

from __future__ import annotations

from collections import Counter, deque
from statistics import quantiles

import msgspec

from halfsecond import wire
from halfsecond.gateway.browser import Figures
from halfsecond.timeline import Span, Timeline

KEPT_TURNS = 200
MIN_FOR_QUANTILES = 2


class Waits(msgspec.Struct, frozen=True):
    """What visitors waited for, in milliseconds."""

    n: int
    p50: float | None = None
    p95: float | None = None
    max: float | None = None


class TurnRecord(msgspec.Struct, kw_only=True):
    """One turn: marks and spans in seconds after the visitor's last speech sample."""

    session: str
    turn: int
    reason: str
    origin_s: float
    """The last speech sample (or the arrival of the text) on the server's clock."""
    timeline: Timeline
    stamps: dict[str, float] = {}
    """Moments that the browser measured, on the same clock."""
    values: dict[str, float] = {}
    """What else it measured."""


class TurnLog:
    """Keeps the newest turns. Holds no words unless `keeps_words`: details of spans have some."""

    def __init__(self, *, keeps_words: bool = False) -> None:
        self._keeps_words = keeps_words
        self._turns: deque[TurnRecord] = deque(maxlen=KEPT_TURNS)
        self.visit_values: dict[str, float] = {}
        """The newest figures of a browser that belong to no turn."""

    def note(self, message: wire.ServerMessage) -> None:
        """Keeps a turn that has ended."""
        if not isinstance(message, wire.TurnEnd) or not message.marks:
            return
        whole = Timeline(
            turn=message.turn,
            marks=message.marks,
            spans=[
                Span(stage, detail if self._keeps_words else "", start_s, end_s)
                for stage, detail, start_s, end_s in message.spans
            ],
        )
        self._turns.append(
            TurnRecord(
                session=message.session,
                turn=message.turn,
                reason=message.reason,
                origin_s=message.marks.get("last_speech", min(message.marks.values())),
                timeline=whole.relative(),
            )
        )

    def note_figures(self, message: Figures) -> None:
        """Adds what a browser measured to its turn."""
        if not message.turn:
            self.visit_values = dict(message.values)
            return
        for record in reversed(self._turns):
            if (record.session, record.turn) == (message.session, message.turn):
                record.stamps = {n: s - record.origin_s for n, s in message.stamps.items()}
                record.values = dict(message.values)
                return

    @property
    def turns(self) -> list[TurnRecord]:
        """The turns that are kept, oldest first."""
        return list(self._turns)

    def reasons(self) -> dict[str, int]:
        """How the turns that are kept ended."""
        return dict(Counter(record.reason for record in self._turns))

    def waits(self) -> dict[str, Waits]:
        """By what was waited for: the server's marks, and the browser's own."""
        named: dict[str, list[float]] = {}
        for record in self._turns:
            if "last_speech" not in record.timeline.marks:
                continue
            for name in ("first_audio_sent", "first_frame_sent"):
                if (at_s := record.timeline.marks.get(name)) is not None:
                    named.setdefault(name, []).append(1000 * at_s)
            for name, at_s in record.stamps.items():
                named.setdefault(name, []).append(1000 * at_s)
        return {name: _waits(values) for name, values in named.items()}


def _waits(values: list[float]) -> Waits:
    if len(values) < MIN_FOR_QUANTILES:
        return Waits(len(values), values[0], values[0], values[0])
    cuts = quantiles(values, n=20, method="inclusive")
    return Waits(len(values), cuts[9], cuts[18], max(values))
