"""What `bench echo` measured."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from rich.console import Console

from halfsecond_bench.statistics import Distribution, wilson_interval
from halfsecond_bench.tables import plain_table


class EchoRow(msgspec.Struct, frozen=True, kw_only=True):
    """Answers that nobody speaks over, over one link at one level."""

    link: str
    echo_db: float
    """Of the echo against a visitor's voice."""
    answers: int
    false_starts: dict[str, int]
    """By canceller: how often the server took its own voice for a visitor's."""
    in_first_answers: dict[str, int]
    """Those in the first answer of a session, before the canceller knew the room."""


class DoubleTalkRow(msgspec.Struct, frozen=True, kw_only=True):
    """Questions that are spoken over an answer."""

    link: str
    echo_db: float | None
    """Of the echo against the visitor; none: the microphone hears no echo."""
    answers_before: int
    """Answers that the session had played before."""
    answer_stops: bool
    """Whether the answer stops once the visitor is heard, as it does in a conversation."""
    questions: int
    missed: list[str]
    late_ms: Distribution
    """How much later the server knew that somebody speaks than without an answer."""
    wer: float
    wer_alone: float
    """In a quiet room, without a canceller."""
    words: int


class CostFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What cancelling takes while an answer plays."""

    frame_us: Distribution
    """Processor time of 10 ms of sound; medians of 100 frames in succession."""
    import_ms: float
    first_mb: float
    """Resident memory of the package and the first session."""
    session_mb: float
    """Of each further session."""


class EchoReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result of `bench echo`."""

    kind: str = "echo"
    profile: str
    device: str
    versions: dict[str, str]
    canceller: str
    echo_alone: list[EchoRow]
    double_talk: list[DoubleTalkRow]
    cost: CostFigures


def print_report(report: EchoReport, console: Console) -> None:
    """The figures as tables."""
    console.print(f"{report.canceller} on {report.device}")
    console.print("\nThe face alone: how often it takes its own voice for a visitor's")
    console.print(_alone_table(report.echo_alone))
    for name in report.echo_alone[0].false_starts if report.echo_alone else ():
        false = sum(row.false_starts[name] for row in report.echo_alone)
        answers = sum(row.answers for row in report.echo_alone)
        low, high = wilson_interval(min(false, answers), answers)
        console.print(
            f"{name}: {false} false starts in {answers} answers "
            f"(95 % interval {100 * low:.1f} to {100 * high:.1f} %)"
        )
    console.print("\nA visitor speaks over it")
    console.print(_talk_table(report.double_talk))
    cost = report.cost
    console.print(
        f"\n10 ms of sound take {cost.frame_us.p50:.0f} µs (p95 {cost.frame_us.p95:.0f}); "
        f"import {cost.import_ms:.0f} ms, {cost.first_mb:.1f} MB, "
        f"each further session {cost.session_mb:.2f} MB"
    )


def _alone_table(rows: Sequence[EchoRow]) -> object:
    names = list(rows[0].false_starts) if rows else []
    table = plain_table("link", "echo, dB", "answers", *names, "in first answers")
    for row in rows:
        table.add_row(
            row.link,
            f"{row.echo_db:+.0f}",
            str(row.answers),
            *(str(row.false_starts[name]) for name in names),
            " ".join(str(row.in_first_answers[name]) for name in names),
        )
    return table


def _talk_table(rows: Sequence[DoubleTalkRow]) -> object:
    table = plain_table(
        "link", "echo, dB", "answers before", "answer", "missed", "later by, ms: p50", "p95", "WER",
        "alone",
    )  # fmt: skip
    for row in rows:
        table.add_row(
            row.link,
            "none" if row.echo_db is None else f"{row.echo_db:+.0f}",
            str(row.answers_before),
            "stops" if row.answer_stops else "goes on",
            f"{len(row.missed)}/{row.questions}",
            f"{row.late_ms.p50:.0f}",
            f"{row.late_ms.p95:.0f}",
            f"{100 * row.wer:.1f} %",
            f"{100 * row.wer_alone:.1f} %",
        )
    return table
