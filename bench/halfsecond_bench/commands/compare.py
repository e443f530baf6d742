"""`halfsecond bench compare`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.progress import Progress

from halfsecond.cli.options import ConfigFile
from halfsecond.config import load
from halfsecond_bench.clips import default_folder, load_clips
from halfsecond_bench.commands.options import ClipsFolder, JsonFile, console, write_json
from halfsecond_bench.compare.others import OTHERS_ASR, OTHERS_LLM, missing_peers
from halfsecond_bench.compare.report import missing_line, print_report
from halfsecond_bench.compare.run import measure


def compare(
    turns: Annotated[int, typer.Option(min=1, help="Turns a side that count.")] = 14,
    config: ConfigFile = None,
    clips: ClipsFolder = None,
    others_llm: Annotated[
        str, typer.Option(help="The other sides' language model, by its catalog name.")
    ] = OTHERS_LLM,
    others_asr: Annotated[
        str, typer.Option(help="Their Whisper, for CTranslate2, by its catalog name.")
    ] = OTHERS_ASR,
    json: JsonFile = None,
) -> None:
    """Ask ours and what people build otherwise the same, in turns: the ratios of the waits."""
    if missing := missing_peers():
        console.print(missing_line(missing), markup=False)
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("asking all sides", total=turns)
        report = asyncio.run(
            measure(
                load(config),
                load_clips(clips or default_folder()),
                turns=turns,
                others_llm=others_llm,
                others_asr=others_asr,
                progress=lambda done: progress.update(task, completed=done),
            )
        )
    print_report(report, console)
    write_json(json, report)
