"""`halfsecond export phrases`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from halfsecond.cli.options import JsonFlag
from halfsecond.config import Config, load
from halfsecond.errors import ConfigError
from halfsecond.stages import openers
from halfsecond.stages.engines import model_directory, open_store
from halfsecond.stages.phrases import Phrases
from halfsecond.stages.rendered import PhraseShelf
from halfsecond_export.commands.options import progress_bar, written_to


def phrases(
    config: Annotated[
        Path, typer.Option("--config", "-c", help="Config with a [phrases] section.")
    ],
    voice: Annotated[
        list[str] | None,
        typer.Option(help="Of the config's model; several are rendered one after another."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Speak greeting, openings and preset answers ahead, so that a start need not."""
    settings = load(config)
    if not settings.phrases.is_used:
        raise ConfigError(
            f"{config} has no greeting, openings or presets in [phrases]: nothing to render"
        )
    rows = []
    for name in voice or [settings.tts.voice]:
        tts = msgspec.structs.replace(settings.tts, voice=name)
        rows.append(_render(msgspec.structs.replace(settings, tts=tts)))
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(rows), indent=2).decode())
        return
    for row in rows:
        typer.echo(
            f"wrote {row['file']}: {row['clauses']} clauses, {row['seconds']:.1f} s of speech"
        )


def _render(settings: Config) -> dict[str, str | int | float]:
    """Renders every clause of the config with its voice."""
    store = open_store(settings)
    directory = model_directory("tts", settings.tts.model, store)
    shelf = PhraseShelf.of(settings.tts, store)
    clauses = [clause.strip() for clause in Phrases(settings.phrases).clauses()]
    with progress_bar(Console(stderr=True)) as progress, written_to(shelf.path):
        progress(0.0, "opening the voice")
        speaker = openers.open_voice(settings.tts, directory)
        spoken = {}
        for done, clause in enumerate(clauses):
            progress(done / len(clauses), clause[:40])
            spoken[clause] = list(speaker.speak(clause, speed=settings.tts.speed))
        speaker.close()
        rendered = shelf.write(spoken)
    return {
        "file": str(shelf.path),
        "voice": settings.tts.voice,
        "clauses": len(rendered.clauses),
        "seconds": round(rendered.seconds, 2),
    }
