"""A load test for people: a column a level, a row for what visitors felt and stages took."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from halfsecond_bench.load_figures import Level, LoadReport
from halfsecond_bench.statistics import Distribution

ROWS: tuple[tuple[str, Callable[[Level], str]], ...] = (
    ("turns answered", lambda v: str(v.turns)),
    ("voice to first audio", lambda v: _spread(v.voice_to_first_audio_ms)),
    ("voice to first frame", lambda v: _spread(v.voice_to_first_frame_ms)),
    ("pictures a second, on time", lambda v: f"{v.fps.p50:.1f}, least {v.fps_min:.1f}"),
    ("gaps in playback", lambda v: str(v.gaps)),
    ("visitors cut off", lambda v: str(v.false_cutoffs)),
    ("pictures lost", lambda v: str(v.dropped_pictures)),
    ("visitors refused", lambda v: str(v.refused)),
    ("server, cores", lambda v: f"{v.server_cores:.2f}"),
    ("harness, cores", lambda v: f"{v.client_cores:.2f}"),
    ("server, MB", lambda v: f"{v.rss_mb:.0f}"),
)


def print_report(report: LoadReport, console: Console) -> None:
    """The figures as one table, and what broke first."""
    console.print(f"profile {report.profile}, {report.device}; milliseconds as p50 / p95")
    heads = [f"{level.sessions} at once" for level in report.levels]
    table = Table("", *heads, box=None, pad_edge=False)
    for name, cell in ROWS:
        table.add_row(name, *(cell(level) for level in report.levels))
    for name in report.levels[0].stages:
        parts = [level.stages.get(name) for level in report.levels]
        waits = [part.wait_ms if part else None for part in parts]
        if any(waits):
            table.add_row(f"{name}, in its queue", *map(_spread, waits))
        table.add_row(name, *(_spread(part.work_ms if part else None) for part in parts))
    console.print(table)
    for level in report.levels:
        for failure in level.failures:
            console.print(f"{level.sessions} at once: {failure}", markup=False)
    console.print(report.verdict)


def _spread(values: Distribution | None) -> str:
    return f"{values.p50:.0f} / {values.p95:.0f}" if values and values.n else "–"
