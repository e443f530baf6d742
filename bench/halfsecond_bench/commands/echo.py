"""`halfsecond bench echo`."""

from __future__ import annotations

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


def echo(
    config: ConfigFile = None,
    clips: ClipsFolder = None,
    sessions: Annotated[
        int, typer.Option(min=1, help="Sessions of three answers for each link and level.")
    ] = 3,
    json: JsonFile = None,
) -> None:
    """Play answers back into the microphone: does it hear itself, and still the visitor?"""
    from halfsecond_bench.echo.measure import measure, steps
    from halfsecond_bench.echo.report import print_report

    settings = load(config)
    asked = asked_questions(settings, recorded_clips(clips))
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("playing", total=steps())
        report = measure(
            settings,
            asked,
            profile=profile_name(config),
            sessions=sessions,
            progress=lambda: progress.advance(task),
        )
    print_report(report, console)
    write_json(json, report)
