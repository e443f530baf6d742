"""`halfsecond export mouth`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from halfsecond.cli.options import JsonFlag
from halfsecond.models.lipsync.avatar_file import avatar_directory
from halfsecond.models.lipsync.compiled_mouth import FOLDER
from halfsecond.store import Store
from halfsecond_export.commands.options import (
    Home,
    extra_packages,
    progress_bar,
    report,
    written_to,
)


def mouth(
    avatar: Annotated[str, typer.Argument(help="Name of an installed avatar, or its directory.")],
    wav2lip: Annotated[
        Path, typer.Option(help="The generator to learn from: ONNX file, or its directory.")
    ],
    speech: Annotated[Path | None, typer.Option(help="Folder of recordings to learn from.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Of the generator.")] = 1,
    home: Home = None,
    as_json: JsonFlag = False,
) -> None:
    """Learn an avatar's mouth from a Wav2Lip generator, to run instead of it many times faster."""
    with extra_packages("mouth", extra="prepare"):
        from halfsecond_export.mouth import exporting
    from halfsecond_export.wav2lip.footage import default_speech

    store = Store.default(home)
    directory = avatar_directory(avatar, store.home)
    heard = ["--speech", str(speech)] if speech else []
    request = exporting.Request(
        avatar=directory,
        wav2lip=wav2lip,
        face_models=store.path("face"),
        speech=speech or default_speech(),
        rebuild=shlex.join(
            ["halfsecond", "export", "mouth", avatar, "--wav2lip", str(wav2lip), *heard]
        ),
        threads=threads,
    )
    target = directory / FOLDER
    with progress_bar(Console(stderr=True)) as progress, written_to(target):
        artifact = exporting.export(request, progress=progress)
    if artifact.is_rejected:
        Console(stderr=True).print(
            "this mouth does not come near enough to its generator: give more and more varied "
            'speech with --speech, or run the generator itself with driver = "wav2lip"',
            soft_wrap=True,
        )
    report("Mouth", target.parent, {FOLDER: artifact}, as_json=as_json)
    if not as_json:
        Console().print(
            f'\n\\[face]\navatar = "{avatar}"\ndriver = "compiled"', soft_wrap=True, highlight=False
        )
