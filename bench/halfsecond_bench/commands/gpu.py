"""`halfsecond bench gpu`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from halfsecond import audio
from halfsecond.errors import ConfigError, NoGpuError
from halfsecond.store.shelf import default_home
from halfsecond_bench.clips import default_folder, load_clips, real_speech
from halfsecond_bench.commands.options import ClipsFolder, JsonFile, console, write_json
from halfsecond_bench.gpu import candidates
from halfsecond_bench.gpu.check import Tools, check_all, usable_gpu
from halfsecond_bench.gpu.report import print_report

DIFFERS, NO_GPU = 1, 3
"""Exit codes; 2 is the user's mistake, as everywhere."""

MOST_CLIPS = 6


def gpu(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Networks, artifacts or folders of them; by default the home's."),
    ] = None,
    home: Annotated[
        Path | None, typer.Option("--home", help="Where models and engines are kept.")
    ] = None,
    clips: ClipsFolder = None,
    rounds: Annotated[int, typer.Option(min=3, help="Repetitions of each measurement.")] = 20,
    json: JsonFile = None,
) -> None:
    """Run all that is here on the GPU and on the CPU: the same results, and how much sooner.

    Exits with 1 where something differs, and with 3 where there is no GPU to use.
    """
    tools = Tools()
    try:
        usable_gpu(tools)
    except NoGpuError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(NO_GPU) from error
    found = candidates.find(home or default_home(), paths or [])
    if not found:
        raise ConfigError(
            f"nothing to run in {home or default_home()}; `halfsecond models fetch` and "
            "`halfsecond engines build` bring something, or give a path"
        )
    recordings = [
        audio.load(clip.path).samples
        for clip in real_speech(load_clips(clips or default_folder()))[:MOST_CLIPS]
    ]
    with console.status("") as status:
        report = check_all(
            found, recordings, rounds=rounds, tools=tools, progress=lambda name: status.update(name)
        )
    print_report(report, console)
    write_json(json, report)
    if report.has_differences:
        raise typer.Exit(DIFFERS)
