"""`halfsecond bench overhead`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.progress import Progress

from halfsecond_bench.commands.options import JsonFile, console, write_json
from halfsecond_bench.overhead import OverheadReport, measure
from halfsecond_bench.tables import distributions_table


def overhead(
    turns: Annotated[int, typer.Option(min=1, help="Turns that count, of each kind.")] = 50,
    json: JsonFile = None,
) -> None:
    """Measure what everything but the models takes, on engines that answer at once."""
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("asking", total=2 * (turns + 1))
        report = asyncio.run(measure(turns=turns, progress=lambda: progress.advance(task)))
    _print(report)
    write_json(json, report)


def _print(report: OverheadReport) -> None:
    console.print(f"{report.turns} turns, {report.device}\nms after the block that ends the turn:")
    console.print(
        distributions_table(
            [
                ("the turn is over", report.endpoint_ms),
                ("first sound, whole chain", report.audio_ms),
                ("first picture, whole chain", report.picture_ms),
                ("first sound, made in secret", report.revealed_audio_ms),
                ("first picture, made in secret", report.revealed_picture_ms),
            ],
            spec=".2f",
        )
    )
    console.print(
        f"while speaking {report.speaking_core_percent:.1f} % of a core "
        f"(p95 of the turns {report.speaking_cores_percent.p95:.1f} %), "
        f"idle with an open microphone {report.idle_core_percent:.1f} %"
    )
