"""`halfsecond bench soak`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from halfsecond.cli.options import ConfigFile
from halfsecond.config import load
from halfsecond.stages.engines import open_store
from halfsecond_bench.clips import false_alarms
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
from halfsecond_bench.soak_script import script

NOISE = "noise.flac"
"""The clip of a room in which nobody speaks."""


def soak(
    turns: Annotated[int, typer.Option(min=10, help="Questions that are asked.")] = 500,
    pace: Annotated[float, typer.Option(min=1, max=8, help="Times as fast as real time.")] = 4,
    measured_every: Annotated[
        int, typer.Option(min=1, help="Steps from one measurement of the A/V offset to the next.")
    ] = 10,
    seed: Annotated[int, typer.Option(help="Of what the visitors do.")] = 1,
    config: ConfigFile = None,
    clips: ClipsFolder = None,
    json: JsonFile = None,
    plot: Annotated[Path | None, typer.Option(help="Draw memory and offset here (PNG).")] = None,
) -> None:
    """Ask hundreds of questions faster than real time: does anything grow, drift or stick?"""
    from halfsecond_bench.soak import measure
    from halfsecond_bench.soak_report import print_report, write_plot

    settings, port = load(config), free_port()
    recorded = recorded_clips(clips)
    steps = script(
        asked_questions(settings, recorded),
        [clip for clip in false_alarms(recorded) if clip.file != NOISE],
        turns=turns,
        measured_every=measured_every,
        seed=seed,
    )
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("asking", total=len(steps))
        report = asyncio.run(
            measure(
                steps,
                noise=next(clip for clip in recorded if clip.file == NOISE),
                pace=pace,
                seed=seed,
                config_toml=server_toml(config, metrics_port=port),
                metrics_port=port,
                face_models=open_store(settings).path(settings.face.model),
                profile=profile_name(config),
                threads=thread_counts(settings),
                progress=lambda done: progress.update(task, completed=done),
            )
        )
    print_report(report, console)
    write_json(json, report)
    if plot is not None:
        write_plot(report, plot)
        console.print(f"wrote {plot}")
