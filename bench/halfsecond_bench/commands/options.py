"""Options that several commands share, and what they do with them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from halfsecond.config import Config
from halfsecond.errors import ConfigError

console = Console(highlight=False)

JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the figures here.")]
HtmlFile = Annotated[Path | None, typer.Option("--html", help="Write a page here.")]
ClipsFolder = Annotated[Path | None, typer.Option(help="Folder with clips.toml.")]


def write_json(path: Path | None, report: object) -> None:
    """Writes a report as indented JSON, where a path was given, and says so."""
    if path is not None:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1))
        console.print(f"wrote {path}")


def server_toml(config: Path | None) -> str:
    """The config as the server will read it, with the log that the harness understands."""
    text = config.read_text(encoding="utf-8") if config else ""
    if "[log]" in text:
        raise ConfigError("the harness sets [log] itself; measure with a config without it")
    return f'{text}\n[log]\nformat = "json"\nlevel = "info"\n'


def profile_name(config: Path | None) -> str:
    """What a report calls the config: the file's name without its ending."""
    return config.stem if config else "default"


def thread_counts(config: Config) -> dict[str, int]:
    """Threads per engine, as the reports give them."""
    return {
        "asr": config.asr.threads,
        "llm": config.llm.threads,
        "tts": config.tts.threads,
        "face": config.face.threads,
    }
