"""`halfsecond export wav2lip-train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from halfsecond.cli.options import JsonFlag, check_folder_of
from halfsecond.errors import ConfigError
from halfsecond.store import Store
from halfsecond_export.commands.options import Home, extra_packages, progress_bar, written_to


def wav2lip_train(
    out: Annotated[Path, typer.Option(help="Checkpoint to write, in the published layout.")],
    width: Annotated[
        float, typer.Option(help="Channels, as a part of the published network's.")
    ] = 0.25,
    minutes: Annotated[float, typer.Option(min=0.05, help="How long to train.")] = 5.0,
    threads: Annotated[int, typer.Option(min=1, help="Of torch.")] = 1,
    seed: Annotated[int, typer.Option(help="Of weights and of the order of frames.")] = 0,
    portrait: Annotated[
        Path | None, typer.Option(help="Picture to learn; the demonstration's without one.")
    ] = None,
    speech: Annotated[Path | None, typer.Option(help="Folder of recordings to learn from.")] = None,
    home: Home = None,
    as_json: JsonFlag = False,
) -> None:
    """Train a narrow Wav2Lip on what the mesh driver shows, to try the exporter on."""
    with extra_packages("wav2lip-train"):
        import torch  # pyright: ignore[reportMissingImports]

        from halfsecond_export.wav2lip import footage, training
        from halfsecond_export.wav2lip.layout import PUBLISHED, WIDTH_STEP

    if width <= 0.0 or width % WIDTH_STEP:
        raise ConfigError(f"--width is {width:g}; expected a multiple of {WIDTH_STEP:g}")
    check_folder_of(out)
    torch.set_num_threads(threads)
    clips, held_out = footage.split(footage.load_speech(speech or footage.default_speech()))
    sitter = footage.Sitter.open(portrait, Store.default(home).path("face"), PUBLISHED.patch_px)
    with progress_bar(Console(stderr=True)) as progress:
        trained = training.train(
            sitter,
            clips,
            held_out,
            width=width,
            seconds=60.0 * minutes,
            seed=seed,
            progress=progress,
        )
    with written_to(out):
        training.save(trained, out)
    report = {
        "checkpoint": str(out),
        "width": width,
        "steps": trained.steps,
        "mean_error": trained.loss,
        "held_out_frames": trained.held_out_frames,
        "aperture_correlation": trained.aperture_correlation,
        "held_out_clips": trained.held_out_clips,
    }
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
        return
    typer.echo(
        f"wrote {out}: width {width:g}, {trained.steps} steps, mean error "
        f"{trained.loss:.4f}; on {trained.held_out_frames} frames of speech that it never heard "
        f"its mouth follows the mesh driver's with r = {trained.aperture_correlation:.2f}"
    )
