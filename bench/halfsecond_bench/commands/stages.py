"""`halfsecond bench stages`."""

from __future__ import annotations

from typing import Annotated

import typer

from halfsecond.cli.options import ConfigFile
from halfsecond.config import load
from halfsecond_bench.clips import default_folder, load_clips
from halfsecond_bench.commands.options import ClipsFolder, JsonFile, console, write_json


def stages(
    config: ConfigFile = None,
    clips: ClipsFolder = None,
    rounds: Annotated[int, typer.Option(min=3, help="Repetitions of each measurement.")] = 9,
    json: JsonFile = None,
) -> None:
    """Measure each model alone: speed, and the words that a short context keeps."""
    from halfsecond_bench.stages import measure, print_report

    report = measure(load(config), load_clips(clips or default_folder()), rounds=rounds)
    print_report(report, console)
    write_json(json, report)
