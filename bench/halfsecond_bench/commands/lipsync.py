"""`halfsecond bench lipsync`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress

from halfsecond.assets import asset
from halfsecond.cli.options import ConfigFile, check_folder_of
from halfsecond.config import load
from halfsecond.models.lipsync.avatar_file import avatar_directory
from halfsecond.stages.engines import open_store
from halfsecond.stages.openers import DEMO_PORTRAIT
from halfsecond_bench.clips import default_folder
from halfsecond_bench.commands.options import ClipsFolder, JsonFile, console, write_json
from halfsecond_bench.tables import plain_table

if TYPE_CHECKING:
    from halfsecond_bench.lipsync.figures import Share
    from halfsecond_bench.lipsync.run import LipSyncReport


def lipsync(
    portrait: Annotated[
        list[Path] | None, typer.Option(help="Picture of a face; several for more than one.")
    ] = None,
    avatar: Annotated[
        str, typer.Option(help="Judge this avatar instead, with its compiled mouth if it has one.")
    ] = "",
    voice: Annotated[
        list[str] | None,
        typer.Option(help="hibari, kokoro/bf_emma, people …; by default hibari and people."),
    ] = None,
    wav2lip: Annotated[
        Path | None, typer.Option(help="Judge this generator too: ONNX file, or its directory.")
    ] = None,
    minutes: Annotated[float, typer.Option(min=0.5, help="Of the run that drift shows in.")] = 1.0,
    sheet: Annotated[Path | None, typer.Option(help="Write a contact sheet (PNG or JPEG).")] = None,
    config: ConfigFile = None,
    clips: ClipsFolder = None,
    json: JsonFile = None,
) -> None:
    """Judge the lips by the pictures: how they follow, close and rest, and what else changes."""
    from halfsecond_bench.lipsync.run import Trial, measure
    from halfsecond_bench.lipsync.sheet import write_sheet
    from halfsecond_bench.lipsync.speech import speeches

    if sheet is not None:
        check_folder_of(sheet)
    settings = load(config)
    store = open_store(settings)
    own = Path(settings.face.portrait) if settings.face.portrait else asset(DEMO_PORTRAIT)
    trial = Trial(
        config=settings,
        face_models=store.path(settings.face.model),
        portraits=portrait or [own],
        speeches=speeches(
            settings, store, clips or default_folder(), voice or ["hibari", "people"]
        ),
        wav2lip=wav2lip or (Path(settings.face.wav2lip) if settings.face.wav2lip else None),
        long_s=60.0 * minutes,
        avatar=avatar_directory(avatar, store.home) if avatar else None,
    )
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("looking", total=None)
        report, strips = measure(
            trial, progress=lambda text: progress.update(task, description=text)
        )
    print_report(report)
    write_json(json, report)
    if sheet is not None:
        write_sheet(sheet, strips)
        console.print(f"wrote {sheet}")


def print_report(report: LipSyncReport) -> None:
    """The tables."""
    lips = plain_table("", "aperture r", "A/V ms", "silent: shut", "seen shut", "jitter px")
    rest = plain_table("", "p b m: shut", "seen shut", "upper face", "sharpness")
    for row in report.judged:
        mouth, kept, name = row.mouth, row.kept, f"{row.driver}, {row.portrait}, {row.voice}"
        lips.add_row(
            name, f"{mouth.aperture_r:.3f}", _signed(mouth.av_offset_ms),
            _words(mouth.closed_by_driver), _words(mouth.closed_by_detector),
            f"{mouth.jitter_px:.2f}",
        )  # fmt: skip
        rest.add_row(
            name, _words(mouth.bilabials_by_driver), _words(mouth.bilabials_by_detector),
            f"{kept.upper_face_change:.2f}", f"{kept.sharpness:.2f}",
        )  # fmt: skip
    console.print(report.device, lips, "", rest, "", sep="\n")
    speeds = plain_table("driver", "size", "p50 ms", "p95 ms", "core: p50", "p95 ms", "fps", "n")
    for speed in report.speed:
        ms, core = speed.frame_ms, speed.core_ms
        speeds.add_row(
            speed.driver, f"{speed.width} x {speed.height}", f"{ms.p50:.1f}", f"{ms.p95:.1f}",
            f"{core.p50:.1f}", f"{core.p95:.1f}", f"{speed.fps_p95:.0f}", str(ms.n),
        )  # fmt: skip
    console.print(speeds)
    for name, seam in report.seams.items():
        console.print(
            f"{name}: from one picture to the next {seam.largest_at_changes:.2f} of 255 at most "
            f"where the state changes, {seam.largest_within:.2f} elsewhere"
        )
    for name, run in report.drift.items():
        console.print(
            f"{name}: over {run.length_s:.0f} s the sound is ahead by {_signed(run.start_ms)} ms "
            f"at first, {_signed(run.end_ms)} ms at the end; {run.missing_frames} frames missing"
        )


def _words(found: Share | None) -> str:
    return "–" if found is None or not found.n else f"{100 * found.rate:.1f} %/{found.n}"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.0f}"
