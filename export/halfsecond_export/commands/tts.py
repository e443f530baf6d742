"""`halfsecond export tts`."""

from __future__ import annotations

import shlex
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from halfsecond.cli.options import JsonFlag
from halfsecond.errors import ConfigError, ModelMissingError
from halfsecond.store import Store
from halfsecond.voiceprint import read_voiceprint
from halfsecond_export.commands.options import (
    Home,
    extra_packages,
    progress_bar,
    report,
    written_to,
)

LISTENERS = ("whisper-base-onnx", "whisper-base")
"""Of the catalog: the first that is here writes down what voices say, in any language."""


def tts(
    source: Annotated[
        Path,
        typer.Argument(
            help="Piper's NAME.onnx, Coqui's model.pth (VITS or YourTTS), or the directory of one."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder; each precision becomes a directory in it.")
    ] = None,
    precision: Annotated[
        list[str] | None, typer.Option(help="fp32 or fp16; both without any.")
    ] = None,
    voiceprint: Annotated[
        Path | None, typer.Option(help="Of whom a YourTTS speaks as while it is compared.")
    ] = None,
    text: Annotated[
        Path | None, typer.Option(help="Sentences to compare on, one on each line.")
    ] = None,
    home: Home = None,
    as_json: JsonFlag = False,
) -> None:
    """Cut a voice into what stays on ONNX Runtime and what becomes an engine."""
    with extra_packages("tts"), progress_bar(Console(stderr=True)) as progress:
        from halfsecond_export.tts.exporting import PRECISIONS, Request, export
        from halfsecond_export.tts.parity import SENTENCES
        from halfsecond_export.tts.source import open_voice_source

        progress(0.0, "reading the voice")
        store = Store.default(home)
        opened = open_voice_source(source)
        target = out or store.home / "artifacts" / "tts" / opened.config.name
        request = Request(
            source=opened,
            out=target,
            rebuild=shlex.join(["halfsecond", "export", "tts", str(source), "--out", str(target)]),
            sentences=_sentences(text) if text else SENTENCES,
            precisions=precision or PRECISIONS,
            whisper=_listener(store),
            voiceprint=read_voiceprint(voiceprint) if voiceprint else None,
        )
        with written_to(target):
            artifacts = export(request, progress=progress)
    if request.whisper is None and not as_json:
        typer.echo(
            f"what is said was not compared; `halfsecond models fetch {LISTENERS[0]}` fetches the "
            "Whisper that does",
            err=True,
        )
    report(f"{opened.family} voice", target, artifacts, as_json=as_json)


def _listener(store: Store) -> Path | None:
    """Whisper's directory; None where it was not fetched, and words are then not compared."""
    for name in LISTENERS:
        with suppress(ModelMissingError):
            return store.path(name)
    return None


def _sentences(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the sentences to compare on cannot be read: {error}") from error
    found = [line.strip() for line in lines if line.strip()]
    if not found:
        raise ConfigError(f"{path} holds no sentences; write one on each line")
    return found
