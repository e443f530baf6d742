"""A figure over commits, with its noise; lines join only what can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from halfsecond_bench.history import Entry
from halfsecond_bench.pages.plot import Axis, chart, circle, line, round_step, text
from halfsecond_bench.results import Result

TOP_PX, BOTTOM_PX = 18, 170
EDGE_PERCENT = 9
"""Room at both ends for what a commit is called."""
NAMED = 4
"""So many commits are named below the chart on a phone; of more, the first and the last."""

Percentile = Literal["p50", "p95"]
KINDS: dict[Percentile, tuple[str, str, float]] = {
    "p95": ("trend tail", "other", 3),
    "p50": ("trend", "plain", 5),
}
"""Line, dot and its radius."""


def trend(
    entries: Sequence[Entry], key: str, *, like: Entry | Result, target: float | None = None
) -> str:
    """p50 with its interval and p95, oldest left; nothing where no entry has the figure.

    like: entries that cannot be compared with it are grey and joined to nothing.
    """
    known = [entry for entry in entries if key in entry.figures]
    if not known:
        return ""
    highest = max(*(entry.figures[key].p95 for entry in known), target or 0.0)
    axis = Axis(0.0, 1.08 * highest)
    content = _grid(axis)
    if target is not None:
        y = _y(axis, target)
        content.append(line(0, y, 100, y, kind="target"))
        content.append(text(100, y + 13, f"p50 target {target:g}", kind="soft", anchor="end"))
    places = [(_column(number, len(known)), entry) for number, entry in enumerate(known)]
    for percentile in KINDS:
        content += _joined(axis, [p for p in places if p[1].is_like(like)], key, percentile)
        for column, entry in places:
            content += _point(axis, column, entry, key, percentile, is_like=entry.is_like(like))
    content += [*_last(axis, places[-1], key), *_names(places)]
    return chart(content, height_px=BOTTOM_PX + 36, label=f"{key} over {len(known)} commits")


def _column(number: int, n: int) -> float:
    return 50.0 if n == 1 else round(EDGE_PERCENT + (100 - 2 * EDGE_PERCENT) * number / (n - 1), 3)


def _y(axis: Axis, value: float) -> float:
    return TOP_PX + (BOTTOM_PX - TOP_PX) * (1 - axis.at(value) / 100)


def _grid(axis: Axis) -> list[str]:
    content: list[str] = []
    step = round_step(axis.high / 4)
    for number in range(int(axis.high / step) + 1):
        y = _y(axis, number * step)
        content.append(line(0, y, 100, y, kind="grid"))
        content.append(text(0, y - 3, f"{number * step:g}", kind="tick"))
    return content


def _joined(
    axis: Axis, places: Sequence[tuple[float, Entry]], key: str, percentile: Percentile
) -> list[str]:
    ends = [(at, _y(axis, getattr(entry.figures[key], percentile))) for at, entry in places]
    kind = KINDS[percentile][0]
    return [line(*one, *two, kind=kind) for one, two in pairwise(ends)]


def _point(
    axis: Axis, column: float, entry: Entry, key: str, percentile: Percentile, *, is_like: bool
) -> list[str]:
    values, (_, kind, radius) = entry.figures[key], KINDS[percentile]
    content: list[str] = []
    if percentile == "p50" and (interval := entry.p50_intervals.get(key)):
        low, high = (_y(axis, value) for value in interval)
        content.append(line(column, low, column, high, kind="whisker"))
    title = (
        f"{entry.commit}, {entry.date:%Y-%m-%d}, {entry.device}: "
        f"p50 {values.p50:.0f}, p95 {values.p95:.0f}, n {values.n}"
    )
    y = _y(axis, getattr(values, percentile))
    kind = kind if is_like else "other"
    return [*content, circle(column, y, kind=kind, radius=radius, title=title)]


def _last(axis: Axis, place: tuple[float, Entry], key: str) -> list[str]:
    column, entry = place
    values = [getattr(entry.figures[key], percentile) for percentile in KINDS]
    return [text(column, _y(axis, v) + 4, f"{v:.0f}", anchor="start", dx=10) for v in values]


def _names(places: Sequence[tuple[float, Entry]]) -> list[str]:
    named = places if len(places) <= NAMED else [places[0], places[-1]]
    content: list[str] = []
    for column, entry in named:
        content.append(text(column, BOTTOM_PX + 16, entry.commit, kind="tick", anchor="middle"))
        date = f"{entry.date:%Y-%m-%d}"
        content.append(text(column, BOTTOM_PX + 31, date, kind="tick", anchor="middle"))
    return content
