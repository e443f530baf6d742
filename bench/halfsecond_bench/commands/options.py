"""Options that several commands share, and what they do with them."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from halfsecond.config import Config
from halfsecond.errors import ConfigError
from halfsecond_bench.clips import Clip, default_folder, load_clips, questions
from halfsecond_bench.history import Entry, read_history, record, with_current
from halfsecond_bench.pages.latency import latency_page
from halfsecond_bench.results import Result

console = Console(highlight=False)

JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the figures here.")]
HtmlFile = Annotated[Path | None, typer.Option("--html", help="Write a page here.")]
HistoryFolder = Annotated[
    Path | None, typer.Option("--history", help="Folder of earlier results, for the trend.")
]
ClipsFolder = Annotated[Path | None, typer.Option(help="Folder with clips.toml.")]


def write_json(path: Path | None, report: object, *, console: Console = console) -> None:
    """Writes a report as indented JSON, where a path was given, and says so."""
    if path is not None:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1))
        console.print(f"wrote {path}")


def write_page(path: Path | None, result: Result, history: Path | None) -> None:
    """Writes the page of a latency result, with its history where there is a folder of it."""
    if path is None:
        return
    if result.kind != "latency":
        raise ConfigError(f"a page is drawn of a 'latency' result; this is a {result.kind!r} one")
    entries: list[Entry] = []
    if history is not None:
        now = datetime.now(timezone.utc)
        entries = with_current(read_history(history, kind=result.kind), result, now=now)
    path.write_text(latency_page(result, entries), encoding="utf-8")
    console.print(f"wrote {path}")


def write_record(result: Result, folder: Path | None, *, commit: str | None = None) -> None:
    """Adds a result to the history in a folder, and says so."""
    if folder is None:
        raise ConfigError("--record adds to a history: name its folder with --history")
    console.print(f"wrote {record(result, folder, commit=commit)}")


def recorded_clips(folder: Path | None) -> list[Clip]:
    """All clips of a folder, of the bundled one without it."""
    return load_clips(folder or default_folder())


def asked_questions(config: Config, recorded: list[Clip]) -> list[Clip]:
    """The questions in the config's language; raises ConfigError where there are none."""
    found = questions(recorded, language=config.language)
    if not found:
        raise ConfigError(f"no clip asks a question in {config.language!r}; see clips.toml")
    return found


def no_browser(error: ImportError) -> ConfigError:
    """What to say where the page's measurements cannot be imported."""
    return ConfigError(f"the page cannot be measured ({error}); pip install 'halfsecond[gateway]'")


def server_toml(
    config: Path | None, *, metrics_port: int = 0, max_sessions: int | None = None
) -> str:
    """The config as the server will read it: a log that the harness understands, and no phrases.

    A clause that was spoken before would come from memory, and the same questions are asked often.
    metrics_port: where it gives its figures. max_sessions: of a config without [server].
    """
    text = config.read_text(encoding="utf-8") if config else ""
    for section in ("[log]", "[phrases", "[[phrases"):
        if section in text:
            raise ConfigError(
                f"the harness sets [log] and [phrases] itself; measure with a config without "
                f"{section.strip('[')}"
            )
    if max_sessions is not None and "[server]" not in text:
        text += f"\n[server]\nmax_sessions = {max_sessions}\n"
    text += f'\n[log]\nformat = "json"\nlevel = "info"\nmetrics_port = {metrics_port}\n'
    return f"{text}[phrases]\nremembered_s = 0\n"


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
