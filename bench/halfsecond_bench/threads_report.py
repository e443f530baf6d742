"""What `bench threads` found, and what it recommends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from halfsecond_bench.statistics import Distribution

Engine = Literal["asr", "llm", "tts", "face"]
WORTH = 0.05
"""More threads must save this part of the time, or they are left to others."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One engine with one number of threads."""

    engine: Engine
    threads: int
    first_ms: Distribution
    """Alone: to its first reply (first token, first chunk, first picture)."""
    whole_ms: Distribution
    """Alone: to its last."""
    together_ms: Distribution
    """To its last reply beside the others of its scene."""
    others_ms: Distribution
    """To the last reply of those others, meanwhile."""


class ThreadsReport(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="threads"):
    """The result of `bench threads`."""

    profile: str
    device: str
    versions: dict[str, str]
    threads: dict[str, int]
    """What the config says; the others of a scene have these."""
    recommended: dict[str, int]
    rows: list[Row]


def candidates(cores: int) -> list[int]:
    """The numbers of threads to try: all up to 4, then in steps of a half, up to `cores`."""
    steps = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
    return sorted({n for n in steps if n <= cores} | {min(cores, steps[-1])})


def recommend(rows: Sequence[Row]) -> int:
    """The threads with which one engine's first reply comes soonest, of those that let it and its
    company be as good as done soonest; the least where `WORTH` makes no difference.

    Company comes first: a second thread that makes one engine quicker takes the core of the other.
    """

    def company_ms(row: Row) -> float:
        return row.together_ms.p50 + row.others_ms.p50

    harmless = _as_good_as_least(rows, company_ms)
    return min(row.threads for row in _as_good_as_least(harmless, lambda row: row.first_ms.p50))


def _as_good_as_least(rows: Sequence[Row], cost_ms: Callable[[Row], float]) -> list[Row]:
    limit_ms = min(cost_ms(row) for row in rows) * (1 + WORTH)
    return [row for row in rows if cost_ms(row) <= limit_ms]
