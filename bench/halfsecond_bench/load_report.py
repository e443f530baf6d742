"""A load test for people: a row a level, and the parts of the wait."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from halfsecond_bench.load_figures import Level, LoadReport
from halfsecond_bench.statistics import Distribution


def print_report(report: LoadReport, console: Console) -> None:
    """The figures as tables."""
    console.print(
        f"profile {report.profile}, {report.device}; milliseconds as p50 / p95; budget: "
        f"p95 of voice to first audio within {report.budget_ms:g} ms"
    )
    console.print(_levels(report.levels))
    console.print(_parts(report.levels))
    for level in report.levels:
        for failure in level.failures:
            console.print(f"{level.sessions} at once: {failure}", markup=False)
    console.print(report.verdict)


def _levels(levels: list[Level]) -> Table:
    table = Table(
        "at once", "turns", "first audio", "first frame", "fps (least)", "gaps", "cut-ins",
        "lost pictures", "refused", "server cores", "harness cores", "MB",
        box=None, pad_edge=False,
    )  # fmt: skip
    for v in levels:
        table.add_row(
            str(v.sessions), str(v.turns), _spread(v.voice_to_first_audio_ms),
            _spread(v.voice_to_first_frame_ms), f"{v.fps.p50:.1f} ({v.fps_min:.1f})",
            str(v.gaps), str(v.false_cutoffs), str(v.dropped_pictures), str(v.refused),
            f"{v.server_cores:.2f}", f"{v.client_cores:.2f}", f"{v.rss_mb:.0f}",
        )  # fmt: skip
    return table


def _parts(levels: list[Level]) -> Table:
    """Wait in the queue + work, for each part of the chain."""
    names = list(levels[0].stages)
    table = Table("at once", *names, box=None, pad_edge=False)
    for level in levels:
        cells = (
            f"{_spread(level.stages[name].wait_ms)} + {_spread(level.stages[name].work_ms)}"
            if level.stages[name].wait_ms.n
            else _spread(level.stages[name].work_ms)
            for name in names
        )
        table.add_row(str(level.sessions), *cells)
    return table


def _spread(values: Distribution) -> str:
    return f"{values.p50:.0f} / {values.p95:.0f}" if values.n else "–"
