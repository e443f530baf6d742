"""`halfsecond export llm`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from halfsecond.cli.options import JsonFlag
from halfsecond.errors import ConfigError
from halfsecond.store import Store
from halfsecond_export.commands.options import (
    Home,
    extra_packages,
    progress_bar,
    report,
    written_to,
)

DEFAULT_FORMATS = ("ctranslate2-int8",)


def llm(
    source: Annotated[
        str,
        typer.Argument(
            help="Hugging Face directory, .gguf file, or the id of a Hugging Face repository."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder; each format becomes a directory in it.")
    ] = None,
    form: Annotated[
        list[str] | None,
        typer.Option("--format", help="By default ctranslate2-int8; `all` for all."),
    ] = None,
    lora: Annotated[
        Path | None, typer.Option(help="Directory of a peft adapter to merge first.")
    ] = None,
    text: Annotated[Path | None, typer.Option(help="Text file to compare on.")] = None,
    home: Home = None,
    as_json: JsonFlag = False,
) -> None:
    """Turn a language model into what the runtime answers with, compared with its weights."""
    console = Console(stderr=True)
    with extra_packages("llm"), progress_bar(console) as progress:
        from halfsecond_export.llm.exporting import FORMATS, Request, export
        from halfsecond_export.llm.parity import TEXT
        from halfsecond_export.llm.source import fetched, open_source

        formats = [*FORMATS] if form == ["all"] else form or list(DEFAULT_FORMATS)
        words = _text(text or TEXT)
        progress(0.0, "reading the weights")
        path = fetched(source)
        opened = open_source(path, lora=lora)
        target = out or Store.default(home).home / "artifacts" / "llm" / path.stem
        given = [] if lora is None else ["--lora", str(lora)]
        rebuild = shlex.join(["halfsecond", "export", "llm", source, *given, "--out", str(target)])
        request = Request(source=opened, out=target, text=words, formats=formats, rebuild=rebuild)
        with written_to(target):
            artifacts = export(request, progress=progress)
    report("Language model", target, artifacts, as_json=as_json)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the text to compare on cannot be read: {error}") from error
