"""`halfsecond bench page`."""

from __future__ import annotations

import asyncio
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
    no_browser,
    profile_name,
    recorded_clips,
    server_toml,
    write_json,
)
from halfsecond_bench.tables import distributions_table


def page(
    turns: Annotated[int, typer.Option(min=1, help="Questions, by the wire and by the page.")] = 28,
    config: ConfigFile = None,
    clips: ClipsFolder = None,
    json: JsonFile = None,
) -> None:
    """Ask the kiosk page in a real Chromium: what does the browser add to the wait?"""
    try:
        from halfsecond_bench.kiosk_page import measure
    except ImportError as error:
        raise no_browser(error) from error
    asked = asked_questions(load(config), recorded_clips(clips))
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("asking", total=2 * turns + 1)
        report = asyncio.run(
            measure(
                asked,
                turns=turns,
                config_toml=server_toml(config),
                profile=profile_name(config),
                progress=lambda: progress.advance(task),
            )
        )
    console.print(
        distributions_table(
            [
                ("page: voice → first sound at the loudspeaker", report.page_first_audio_ms),
                ("page: voice → first moving picture", report.page_first_frame_ms),
                ("wire: voice → first sound", report.wire_first_audio_ms),
                ("wire: voice → first moving picture", report.wire_first_frame_ms),
                ("page: sound against pictures", report.av_offset_ms),
            ]
        )
    )
    console.print(
        f"the page adds {report.added_audio_ms:g} ms to the sound and "
        f"{report.added_frame_ms:g} ms to the picture; {report.underruns} times it ran dry"
    )
    write_json(json, report)
