"""A soak for people: tables on the terminal, and memory and offset over the turns as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table

from halfsecond_bench.soak_figures import FRAME_MS, MEMORY_PERCENT, SoakReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def print_report(report: SoakReport, console: Console) -> None:
    """The figures as tables."""
    console.print(
        f"{report.steps} steps with {report.turns} turns in {report.took_s / 60:.1f} min, "
        f"{report.pace:g} times as fast as real time, profile {report.profile}, {report.device}"
    )
    console.print(_courses(report))
    console.print(_distributions(report))
    ends = ", ".join(f"{name} {count}" for name, count in sorted(report.reasons.items()))
    console.print(
        f"turns {ends}; unanswered {report.unanswered}; coughs that stopped an answer "
        f"{report.coughs_that_stopped} of {report.coughs}; invented questions "
        f"{report.invented_questions}; stale {report.stale}; gaps at real time {report.gaps}; "
        f"most queued {report.queued_max}; prompt cache at most {report.prompt_cache_tokens_max} "
        f"tokens; server {report.server_cores:.2f} cores, peak {report.rss_peak_mb:.0f} MB"
    )
    for line in (*report.stuck, *report.errors[:5], *report.faults[:5]):
        console.print(f"  {line}", markup=False)
    for check, is_met in report.checks.items():
        console.print(f"{'yes' if is_met else 'NO ':3} {check}")


def _courses(report: SoakReport) -> Table:
    table = Table("", "warm", "end", "max", "per 100 steps", box=None, pad_edge=False)
    for name, course in (
        (f"memory, MB ({report.rss_growth_percent:+.1f} %)", report.rss_mb),
        ("voice to first audio, ms", report.voice_to_first_audio_course_ms),
        ("sound ahead of lips, ms", report.av_offset_course_ms),
        ("file descriptors", report.open_files),
        ("threads", report.server_threads),
    ):
        values = (course.warm, course.end, course.max)
        table.add_row(name, *(f"{v:.1f}" for v in values), f"{course.per_100_steps:+.2f}")
    return table


def _distributions(report: SoakReport) -> Table:
    table = Table("ms", "p50", "p95", "max", "n", box=None, pad_edge=False)
    for name, values in (
        ("voice to first audio", report.voice_to_first_audio_ms),
        ("sound against lips, absolute", report.av_offset_ms),
        ("time stamps: sound", report.audio_error_ms),
        ("time stamps: last picture against end of sound", report.video_lead_ms),
        *((f"waited for {stage}", waits) for stage, waits in report.queue_ms.items()),
    ):
        cells = (values.p50, values.p95, values.max)
        table.add_row(name, *(f"{v:.1f}" for v in cells), str(values.n))
    return table


def write_plot(report: SoakReport, path: Path) -> None:
    """Draws memory above and A/V offset below, over the steps."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 5.0), layout="constrained")
    memory, offset = figure.subplots(2, 1, sharex=True)
    _draw_memory(memory, report)
    _draw_offset(offset, report)
    for axes in (memory, offset):
        axes.axvspan(0, report.warm_up_steps, color="#f0f0f0", lw=0)
        axes.grid(axis="y", color="#e6e6e6")
        axes.set_axisbelow(True)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    offset.set_xlim(0, max(report.steps, 1))
    offset.set_xlabel("steps; grey: warm-up")
    figure.savefig(path, dpi=130)


def _draw_memory(axes: Axes, report: SoakReport) -> None:
    at = np.arange(1, report.steps + 1)
    axes.plot(at, [step.rss_mb for step in report.series], color="#3b6ea8", lw=1.0)
    limit_mb = report.rss_mb.warm * (1 + MEMORY_PERCENT / 100)
    axes.axhline(limit_mb, color="#999999", ls=":", lw=1.0)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("memory, MB")
    axes.set_title(
        f"{report.rss_growth_percent:+.1f} % from warm-up to end; dotted: +{MEMORY_PERCENT:g} %",
        fontsize=10,
        loc="left",
    )


def _draw_offset(axes: Axes, report: SoakReport) -> None:
    points = [
        (number, step.av_offset_ms)
        for number, step in enumerate(report.series, start=1)
        if step.av_offset_ms is not None
    ]
    if points:
        at, offsets_ms = zip(*points, strict=True)
        axes.scatter(at, offsets_ms, s=14, color="#c9772b")
    for limit_ms in (-FRAME_MS, FRAME_MS):
        axes.axhline(limit_ms, color="#999999", ls=":", lw=1.0)
    axes.set_ylim(-3 * FRAME_MS, 3 * FRAME_MS)
    axes.set_ylabel("sound ahead of lips, ms")
    axes.set_title("from content, at real-time pace; dotted: one frame", fontsize=10, loc="left")
