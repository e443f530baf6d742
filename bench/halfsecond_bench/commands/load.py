"""`halfsecond bench load`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.progress import Progress

from halfsecond import config as configs
from halfsecond.cli.options import ConfigFile
from halfsecond_bench.commands.options import (
    ClipsFolder,
    JsonFile,
    asked_questions,
    console,
    profile_name,
    recorded_clips,
    server_toml,
    thread_counts,
    write_json,
)
from halfsecond_bench.metrics_page import free_port


def load(
    sessions: Annotated[int, typer.Option(min=1, max=32, help="Most visitors at once.")] = 4,
    turns: Annotated[int, typer.Option(min=1, help="Turns of each level, at least.")] = 12,
    budget_ms: Annotated[float, typer.Option(help="What the p95 of the wait may be.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of questions and pauses.")] = 1,
    config: ConfigFile = None,
    clips: ClipsFolder = None,
    json: JsonFile = None,
) -> None:
    """Let 1, 2 … visitors talk at once at real-time pace, until the wait breaks the budget."""
    from halfsecond_bench.load import measure
    from halfsecond_bench.load_report import print_report

    settings, port = configs.load(config), free_port()
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("visitors at once", total=sessions)
        report = asyncio.run(
            measure(
                asked_questions(settings, recorded_clips(clips)),
                sessions=sessions,
                turns=turns,
                budget_ms=budget_ms,
                seed=seed,
                config_toml=server_toml(config, metrics_port=port, max_sessions=sessions),
                metrics_port=port,
                profile=profile_name(config),
                threads=thread_counts(settings),
                progress=lambda count: progress.update(task, completed=count - 1),
            )
        )
    print_report(report, console)
    write_json(json, report)
