"""`halfsecond export wav2lip`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from halfsecond.artifact import Artifact, Precision
from halfsecond.cli.options import JsonFlag
from halfsecond.errors import ConfigError
from halfsecond.store import Store
from halfsecond_export.commands.options import (
    Home,
    encoded,
    exit_if_rejected,
    extra_packages,
    progress_bar,
    written_to,
)

if TYPE_CHECKING:
    from halfsecond_export.wav2lip.exporting import Request


def wav2lip(
    checkpoint: Annotated[Path, typer.Argument(help="wav2lip.pth or wav2lip_gan.pth.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder; each precision becomes a directory in it.")
    ] = None,
    precision: Annotated[
        list[str] | None, typer.Option(help="fp32, fp16, int8 or int8_fp16; all without any.")
    ] = None,
    portrait: Annotated[
        Path | None, typer.Option(help="Picture to compare on; the demonstration's without one.")
    ] = None,
    speech: Annotated[
        Path | None, typer.Option(help="Folder of recordings to calibrate and compare on.")
    ] = None,
    frames: Annotated[
        int | None, typer.Option(min=10, help="To compare on; 200, eight seconds, without it.")
    ] = None,
    home: Home = None,
    as_json: JsonFlag = False,
) -> None:
    """Turn a Wav2Lip checkpoint into ONNX files that were compared with it."""
    with extra_packages("wav2lip"):
        from halfsecond_export.wav2lip import exporting
        from halfsecond_export.wav2lip.footage import default_speech

    store = Store.default(home)
    request = exporting.Request(
        checkpoint=checkpoint,
        out=out or store.home / "artifacts" / "wav2lip" / checkpoint.stem,
        face_models=store.path("face"),
        speech=speech or default_speech(),
        portrait=portrait,
        judged_frames=frames or exporting.JUDGED_FRAMES,
        precisions=[_known(name) for name in precision or exporting.PRECISIONS],
    )
    with progress_bar(Console(stderr=True)) as progress, written_to(request.out):
        artifacts = exporting.export(request, progress=progress)
    if as_json:
        typer.echo(encoded(request.out, artifacts))
    else:
        _show(request, artifacts)
    exit_if_rejected(artifacts)


def _known(name: str) -> Precision:
    try:
        known: Precision = msgspec.convert(name, Precision)
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"--precision is {name!r}; it can be fp32, fp16, int8 or int8_fp16"
        ) from error
    return known


def _show(request: Request, artifacts: dict[Precision, Artifact]) -> None:
    from halfsecond_export.wav2lip.parity import reasons

    first = next(iter(artifacts.values()))
    title = f"{request.checkpoint.name}, width {first.details['width']}"
    table = Table(title=f"{title}, {first.details['patch_px']} px", title_justify="left")
    for name in ("precision", "MB", "largest error", "relative", "mouth SSIM", "aperture r", ""):
        table.add_column(name, justify="left" if name in ("precision", "") else "right")
    for name, artifact in artifacts.items():
        values = [check.value for check in artifact.checks[:4]]
        size_mb = sum(file.size_bytes for file in artifact.files.values()) / 1e6
        verdict = "[red]rejected[/red]" if artifact.is_rejected else "[green]usable[/green]"
        table.add_row(name, f"{size_mb:.1f}", *(f"{v:.4g}" for v in values), verdict)
    console = Console(highlight=False)
    console.print(table)
    for name, artifact in artifacts.items():
        for reason in reasons(artifact):
            console.print(f"{name}: {reason}", markup=False, soft_wrap=True)
    usable = [name for name, artifact in artifacts.items() if not artifact.is_rejected]
    if usable:
        best = "int8" if "int8" in usable else usable[0]
        console.print(
            f'\n\\[face] driver = "wav2lip", wav2lip = "{request.out / best}"', soft_wrap=True
        )
