"""The charts of the latency page: every turn, how values are spread, stages against the budget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from halfsecond.timeline import Timeline
from halfsecond_bench.critical_path import BUDGET, Stage, pieces_of
from halfsecond_bench.pages.plot import (
    Axis,
    axis_from_zero,
    bar,
    beside,
    chart,
    circle,
    line,
    scale,
    text,
    vertical,
)
from halfsecond_bench.statistics import Distribution, distribution

MARK_LINE_PX = 15
BINS = 80
"""Dots within one 80th of the width stand on one another."""
DOT_PX, STACK_PX = 7, 84
"""Dots stand this far apart, and closer where they would be higher than this together."""


@dataclass(frozen=True)
class Mark:
    """A line across a chart: where, what it says, and its class."""

    value: float
    words: str
    kind: str = "target"


def every_turn(turns: Sequence[Timeline], axis: Axis, marks: Sequence[Mark]) -> str:
    """A line for each turn, quickest first, cut into what the answer waited for."""
    top, step = MARK_LINE_PX * len(marks) + 4, 11 if len(turns) <= 40 else 7
    bottom = top + step * len(turns)
    content = [scale(axis, top=top, bottom=bottom)]
    for number, turn in enumerate(turns):
        for piece in pieces_of(turn):
            title = f"{turn.question}: {BUDGET[piece.stage].name}, {piece.length_ms:.0f} ms"
            y = top + step * number
            content.append(
                bar(axis, piece.start_ms, piece.end_ms, y=y, height=step - 2, kind=piece.stage,
                    title=title)
            )  # fmt: skip
    content.extend(_labelled(axis, marks, bottom=bottom))
    return chart(content, height_px=bottom + 20, label="every turn, cut into its pieces")


def _labelled(axis: Axis, marks: Sequence[Mark], *, bottom: float) -> list[str]:
    """Lines with their words above the chart, each on a line of its own: on a phone too."""
    content: list[str] = []
    for number, mark in enumerate(marks):
        y = MARK_LINE_PX * number + 11
        content.append(vertical(axis, mark.value, top=y - 9, bottom=bottom, kind=mark.kind))
        content.append(beside(axis, mark.value, y, mark.words, kind="soft"))
    return content


def spread(
    values: Sequence[float],
    axis: Axis,
    *,
    kind: str = "plain",
    marks: Sequence[Mark] = (),
    zone: tuple[float, float] | None = None,
    interval: tuple[float, float] | None = None,
    is_detailed: bool = False,
    unit: str = "ms",
) -> str:
    """A dot for each value; in detail, below them the median with its interval, and p95.

    zone: where values should lie.
    """
    bins = Counter[int]()
    top = MARK_LINE_PX * len(marks) + 6
    places: list[tuple[float, int]] = []
    for value in values:
        place = round(axis.at(value) / 100 * BINS)
        places.append((value, bins[place]))
        bins[place] += 1
    highest = max(bins.values(), default=1)
    step = min(DOT_PX, STACK_PX / highest)
    base = top + step * highest + 4
    bottom = base + (30 if is_detailed else 6)
    content = [scale(axis, top=top, bottom=bottom, unit=unit)]
    if zone:
        content.append(bar(axis, *zone, y=top, height=bottom - top, kind="zone"))
    content.extend(
        circle(axis.at(value), base - step * level - 4, kind=kind, title=f"{value:.0f} {unit}")
        for value, level in places
    )
    if is_detailed:
        content.extend(_percentiles(axis, distribution(values), interval, base))
    content.extend(_labelled(axis, marks, bottom=bottom))
    return chart(content, height_px=bottom + 20, label=f"{len(values)} values, a dot each")


def _percentiles(
    axis: Axis, values: Distribution, interval: tuple[float, float] | None, base: float
) -> list[str]:
    content = [bar(axis, *interval, y=base + 3, height=7, kind="band")] if interval else []
    content.append(vertical(axis, values.p50, top=base, bottom=base + 13, kind="median"))
    at = axis.at(values.p50)
    content.append(text(at, base + 25, f"p50 {values.p50:.0f}", anchor="middle"))
    is_apart = axis.at(values.p95) - at > 14
    content.append(vertical(axis, values.p95, top=base, bottom=base + 13, kind="whisker"))
    if is_apart:
        content.append(
            text(axis.at(values.p95), base + 25, f"p95 {values.p95:.0f}", anchor="middle")
        )
    return content


BAR_PX = 46


def budget(stages: Sequence[tuple[Stage, Distribution]]) -> str:
    """A bar for each stage's median, a whisker to its p95, and a line where its budget ends."""
    axis = axis_from_zero([*(d.p95 for _, d in stages), *(stage.budget_ms for stage, _ in stages)])
    bottom = BAR_PX * len(stages)
    content = [scale(axis, top=4, bottom=bottom)]
    for number, (stage, values) in enumerate(stages):
        y = BAR_PX * number
        is_over = values.p50 > stage.budget_ms
        words = (
            f"{values.p50:.0f} of {stage.budget_ms:.0f} ms"
            if stage.budget_ms
            else f"{values.p50:.0f} ms"
        )
        content.append(text(0, y + 16, stage.name))
        content.append(text(100, y + 16, words, kind="bad" if is_over else "", anchor="end"))
        content.append(bar(axis, 0, values.p50, y=y + 22, height=14, kind=stage.key))
        middle = y + 29
        content.append(
            line(axis.at(values.p50), middle, axis.at(values.p95), middle, kind="whisker")
        )
        content.append(vertical(axis, stage.budget_ms, top=y + 19, bottom=y + 39, kind="target"))
    return chart(content, height_px=bottom + 20, label="stages against their budget")
