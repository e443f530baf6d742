"""The latency result as a page that a person wants to read: the answer first, then the evidence."""

from __future__ import annotations

from collections.abc import Sequence

from halfsecond.timeline import Timeline
from halfsecond_bench.blame import heard_ms, largest_part, lengths, median_turn, usual_ms, why_slow
from halfsecond_bench.critical_path import STAGES, pieces_of
from halfsecond_bench.history import Entry
from halfsecond_bench.pages import charts, evidence, verdict
from halfsecond_bench.pages.charts import Mark
from halfsecond_bench.pages.document import (
    details,
    document,
    legend,
    paragraph,
    plain,
    section,
    table,
)
from halfsecond_bench.pages.one_turn import axis_of, waterfall
from halfsecond_bench.pages.plot import Axis, axis_from_zero
from halfsecond_bench.quantities import FIRST_AUDIO, HUMAN_GAP_MS, WAITS, Quantity
from halfsecond_bench.results import Result
from halfsecond_bench.statistics import distribution
from halfsecond_bench.wer import spoken_words

HUMAN_GAP = Mark(HUMAN_GAP_MS, f"{HUMAN_GAP_MS} between people", "human")
AHEAD_MS, BEHIND_MS = 45, -125
"""Sound ahead of lips and behind them that people begin to notice (ITU-R BT.1359)."""


def latency_page(result: Result, history: Sequence[Entry] = ()) -> str:
    """The HTML of a result, self-contained; `history` is oldest first."""
    answered = [turn for turn in result.timelines if pieces_of(turn)]
    title = verdict.headline(result)
    body = (
        paragraph(
            f"{result.turns} turns · profile {result.profile} · {result.device}", kind="note"
        ),
        f"<h1>{plain(title)}</h1>",
        paragraph(verdict.lead(result), kind="lead"),
        verdict.cards(result),
        paragraph(verdict.noise(result), kind="note"),
        _every_turn(answered),
        _two_turns(result, answered),
        _stage_budget(answered),
        _spread(result),
        evidence.cold_and_warm(result),
        evidence.over_commits(result, history),
        evidence.all_figures(result),
        evidence.heard(result),
        evidence.how_measured(result),
    )
    return document(title, "".join(body))


def _targets(quantity: Quantity) -> list[Mark]:
    wanted = (("p50", quantity.p50_target), ("p95", quantity.p95_target))
    return [Mark(value, f"{value:g} {name} target") for name, value in wanted if value is not None]


def _every_turn(turns: Sequence[Timeline]) -> str:
    if not turns:
        return ""
    marks = [HUMAN_GAP, *_targets(FIRST_AUDIO)]
    ends = [pieces_of(turn)[-1].end_ms for turn in turns]
    present = {piece.stage for turn in turns for piece in pieces_of(turn)}
    return section(
        "Where the time goes",
        paragraph(
            "A line is a turn, the quickest first, from the visitor's last word to the first sound "
            "and the first moving lips. Its colours are what the answer waited for."
        ),
        charts.every_turn(
            sorted(turns, key=heard_ms), axis_from_zero([*ends, *(m.value for m in marks)]), marks
        ),
        legend((stage.key, stage.name) for stage in STAGES if stage.key in present),
    )


def _two_turns(result: Result, turns: Sequence[Timeline]) -> str:
    if not turns:
        return ""
    middle, worst = median_turn(turns), max(turns, key=heard_ms)
    axis = axis_of(middle, worst)
    return section(
        "A turn in the middle, and the worst",
        f"<h3>In the middle: {plain(_asked(result, middle))}</h3>",
        paragraph(largest_part(middle)),
        waterfall(middle, axis),
        f"<h3>The worst: {plain(_asked(result, worst))}</h3>",
        paragraph(why_slow(worst, usual_ms(turns))),
        waterfall(worst, axis),
        paragraph(
            "Full colour: what the first sound and the first picture waited for. Faint: other work "
            "of the same turn. An answer is begun in secret at the first short silence and shown "
            "once the turn is confirmed.",
            kind="note",
        ),
    )


def _asked(result: Result, turn: Timeline) -> str:
    """What was said in a turn, and what was understood where that is something else."""
    number = result.timelines.index(turn)
    said = result.transcripts[number] if number < len(result.transcripts) else {}
    asked = f"“{said.get('reference') or turn.question}”"
    is_misheard = spoken_words(asked) != spoken_words(turn.question)
    return f"{asked}, heard as “{turn.question}”" if is_misheard else asked


def _stage_budget(turns: Sequence[Timeline]) -> str:
    if not turns:
        return ""
    taken = [lengths(pieces_of(turn)) for turn in turns]
    stages = [
        (stage, distribution([pieces.get(stage.key, 0.0) for pieces in taken])) for stage in STAGES
    ]
    reasons = table(
        ("stage", "budget, ms", "because"), [[s.name, f"{s.budget_ms:g}", s.why] for s in STAGES]
    )
    return section(
        "Each stage against its budget",
        paragraph(
            "The bar is the median, its line reaches to the p95, the red line is the budget."
        ),
        charts.budget(stages),
        details("Why these budgets", reasons),
    )


def _spread(result: Result) -> str:
    values = [value for q in WAITS for value in result.values(q.key)]
    marks = [mark for q in WAITS for mark in _targets(q)]
    axis = axis_from_zero([*values, *(mark.value for mark in marks)])
    waits = (
        _waits(result, q, axis, kind) for q, kind in zip(WAITS, ("audio", "frame"), strict=True)
    )
    return section(
        "How the waits are spread",
        *waits,
        paragraph(
            "A dot is a turn. The grey band around p50 is its 95 % interval. "
            f"{HUMAN_GAP_MS} ms is what people leave between turns, across ten languages.",
            kind="note",
        ),
        _row("Last word → turn confirmed", result.values("endpoint_wait_ms"), low=0.0),
        _row(
            "Sound against lips, positive is sound ahead; green is what nobody notices",
            result.values("av_offset_ms"), low=-150.0, high=100.0, zone=(BEHIND_MS, AHEAD_MS),
        ),
        _row("Pictures on time, a second", result.values("fps"), low=0.0, high=30.0, unit="fps"),
    )  # fmt: skip


def _waits(result: Result, quantity: Quantity, axis: Axis, kind: str) -> str:
    if not (values := result.values(quantity.key)):
        return ""
    drawn = charts.spread(
        values, axis, kind=kind, marks=[HUMAN_GAP, *_targets(quantity)],
        interval=verdict.p50_interval(result, quantity.key), is_detailed=True,
    )  # fmt: skip
    return f"<h3>{plain(quantity.label.capitalize())}</h3>{drawn}"


def _row(
    label: str,
    values: Sequence[float],
    *,
    low: float,
    high: float | None = None,
    zone: tuple[float, float] | None = None,
    unit: str = "ms",
) -> str:
    if not values:
        return ""
    axis = Axis(min([low, *values]), max([high, *values]) if high else axis_from_zero(values).high)
    drawn = charts.spread(values, axis, zone=zone, unit=unit)
    return f"<h3>{plain(label)}</h3>{drawn}"
