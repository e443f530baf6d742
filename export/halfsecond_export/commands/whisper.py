"""`halfsecond export whisper`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console

from halfsecond import audio
from halfsecond.cli.options import JsonFlag
from halfsecond.errors import ConfigError
from halfsecond.models.asr.network import FULL_CONTEXT_S
from halfsecond.store import Store
from halfsecond_export.commands.options import (
    Home,
    extra_packages,
    progress_bar,
    report,
    written_to,
)

DEFAULT_FORMATS = ("onnx-int8", "ctranslate2-int8")


def whisper(
    source: Annotated[
        str,
        typer.Argument(
            help="Directory (CTranslate2 or Hugging Face), OpenAI checkpoint, or the id of a "
            "Hugging Face repository."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder; each format becomes a directory in it.")
    ] = None,
    form: Annotated[
        list[str] | None,
        typer.Option("--format", help="By default onnx-int8 and ctranslate2-int8; `all` for all."),
    ] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(help="Directory of the tokenizer, for an OpenAI checkpoint.")
    ] = None,
    speech: Annotated[Path | None, typer.Option(help="Folder of recordings to compare on.")] = None,
    home: Home = None,
    as_json: JsonFlag = False,
) -> None:
    """Turn a Whisper into what the runtime or TensorRT takes, compared with its weights."""
    with extra_packages("whisper"):
        from halfsecond_export.whisper.exporting import FORMATS, export
        from halfsecond_export.whisper.portable import PORTABLE
        from halfsecond_export.whisper.reference import Request
        from halfsecond_export.whisper.source import fetched, open_source

        path = fetched(source)
        opened = open_source(path, tokenizer=tokenizer)
    every = [*FORMATS, *PORTABLE]
    formats = every if form == ["all"] else form or list(DEFAULT_FORMATS)
    target = out or Store.default(home).home / "artifacts" / "whisper" / path.name
    request = Request(
        source=opened,
        out=target,
        recordings=_recordings(speech, is_english_only=opened.is_english_only),
        formats=formats,
        rebuild=f"halfsecond export whisper {shlex.quote(source)} --out {shlex.quote(str(target))}",
    )
    with progress_bar(Console(stderr=True)) as progress, written_to(target):
        artifacts = export(request, progress=progress)
    report("Whisper", target, artifacts, as_json=as_json)


class _Clip(msgspec.Struct):
    file: str
    language: str


class _Clips(msgspec.Struct):
    """A `clips.toml` beside recordings, as far as it matters here."""

    clip: list[_Clip] = []


def _recordings(folder: Path | None, *, is_english_only: bool) -> list[NDArray[np.float32]]:
    """What to compare on; what a model was never taught is no measure of how it was converted."""
    chosen = folder or Path(__file__).resolve().parents[3] / "tests" / "clips"
    files = sorted(p for p in chosen.glob("*") if p.suffix in (".wav", ".flac", ".mp3", ".ogg"))
    if is_english_only and (listed := chosen / "clips.toml").is_file():
        clips = msgspec.toml.decode(listed.read_bytes(), type=_Clips).clip
        foreign = {clip.file for clip in clips if clip.language != "en"}
        files = [path for path in files if path.name not in foreign]
    found = [audio.load(path).samples for path in files]
    kept = [samples for samples in found if 1 < len(samples) / audio.RATE_HZ <= FULL_CONTEXT_S]
    if not kept:
        raise ConfigError(
            f"there is no recording of 1 to 30 s in {chosen}; give a folder of speech with --speech"
        )
    return kept
