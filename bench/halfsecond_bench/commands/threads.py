"""`halfsecond bench threads`."""

from __future__ import annotations

import os
from typing import Annotated

import typer
from rich.progress import Progress

from halfsecond.cli.options import ConfigFile
from halfsecond.config import load
from halfsecond_bench.commands.options import (
    ClipsFolder,
    JsonFile,
    asked_questions,
    console,
    profile_name,
    recorded_clips,
    write_json,
)
from halfsecond_bench.tables import plain_table
from halfsecond_bench.threads import engines, measure
from halfsecond_bench.threads_report import ThreadsReport


def threads(
    config: ConfigFile = None,
    clips: ClipsFolder = None,
    rounds: Annotated[int, typer.Option(min=3, help="Repetitions of each measurement.")] = 15,
    json: JsonFile = None,
) -> None:
    """Find how many threads each engine should have here, alone and beside others."""
    settings = load(config)
    asked = asked_questions(settings, recorded_clips(clips))
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("trying", total=len(engines(settings)))
        report = measure(
            settings,
            asked[0],
            profile=profile_name(config),
            cores=len(os.sched_getaffinity(0)),
            rounds=rounds,
            progress=lambda: progress.advance(task),
        )
    _print(report)
    write_json(json, report)


def _print(report: ThreadsReport) -> None:
    console.print(f"{report.device}, profile {report.profile}; ms, p50 / p95")
    table = plain_table("", "threads", "alone: first", "alone: all", "beside others", "the others")
    for row in report.rows:
        spreads = (row.first_ms, row.whole_ms, row.together_ms, row.others_ms)
        is_best = row.threads == report.recommended[row.engine]
        table.add_row(
            row.engine,
            f"{row.threads}{' *' if is_best else '  '}",
            *(f"{spread.p50:.1f} / {spread.p95:.1f}" for spread in spreads),
        )
    console.print(table)
    console.print("for the config (*):")
    for engine, count in report.recommended.items():
        console.print(f"[{engine}]\nthreads = {count}", markup=False)
