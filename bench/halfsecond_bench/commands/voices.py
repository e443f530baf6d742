"""`halfsecond bench voices`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.progress import Progress

from halfsecond.cli.options import ConfigFile
from halfsecond.config import load
from halfsecond.errors import ConfigError
from halfsecond.stages.engines import open_store
from halfsecond_bench.clips import default_folder
from halfsecond_bench.commands.options import ClipsFolder, JsonFile, console, write_json


def voices(
    config: ConfigFile = None,
    voice: Annotated[
        list[str] | None,
        typer.Option(help="Such as hibari or kokoro/zf_xiaoxiao; all that are here without any."),
    ] = None,
    recognizer: Annotated[
        str, typer.Option(help="Catalog name of the Whisper that listens.")
    ] = "whisper-base",
    sentences: Annotated[
        int | None, typer.Option(min=2, help="Of each kind, the first so many; all without it.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Of voices and Whisper.")] = 2,
    clips: ClipsFolder = None,
    json: JsonFile = None,
) -> None:
    """Have every voice read the same texts: words, likeness, speed and loudness."""
    from halfsecond_bench.voices import available_voices, measure, real_people
    from halfsecond_bench.voices_report import print_report

    store = open_store(load(config))
    chosen = voice or available_voices(store)
    if not chosen:
        raise ConfigError("no voice is here; run `halfsecond models fetch hibari kokoro`")
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("reading aloud", total=len(chosen))
        report = measure(
            store,
            chosen,
            real_people(clips or default_folder()),
            recognizer=recognizer,
            threads=threads,
            sentences=sentences,
            progress=lambda: progress.advance(task),
        )
    print_report(report, console)
    write_json(json, report)
