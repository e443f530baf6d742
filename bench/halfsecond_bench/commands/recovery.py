"""`halfsecond bench recovery`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.progress import Progress

from halfsecond.cli.options import ConfigFile
from halfsecond_bench.commands.options import (
    JsonFile,
    console,
    no_browser,
    server_toml,
    write_json,
)
from halfsecond_bench.tables import distributions_table


def recovery(
    kills: Annotated[int, typer.Option(min=1, help="Times that the server is killed.")] = 5,
    question: Annotated[
        str, typer.Option(help="Typed after each, to see an answer.")
    ] = "When do you close?",
    config: ConfigFile = None,
    json: JsonFile = None,
) -> None:
    """Kill the server under the kiosk page: when is it itself again, with nobody there to help?"""
    try:
        from halfsecond_bench.recovery import measure
    except ImportError as error:
        raise no_browser(error) from error
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("killing", total=kills)
        report = asyncio.run(
            measure(
                kills=kills,
                config_toml=server_toml(config),
                question=question,
                progress=lambda: progress.advance(task),
            )
        )
    console.print(
        distributions_table(
            [
                ("killed → the page says so", report.away_ms),
                ("started → the next server is ready", report.server_ready_ms),
                ("that → the page waits for visitors", report.idle_ms),
                ("killed → the page waits for visitors", report.total_ms),
            ]
        )
    )
    console.print(f"{report.answered} of {report.kills} times the same page got an answer then")
    write_json(json, report)
