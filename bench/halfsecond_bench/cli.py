"""`halfsecond bench`: measure this machine."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from halfsecond.cli.options import ConfigFile
from halfsecond.config import Config, load
from halfsecond.errors import ConfigError
from halfsecond.stages.engines import open_store
from halfsecond_bench.clips import default_folder, load_clips, questions
from halfsecond_bench.latency import LatencyReport

app = typer.Typer(no_args_is_help=True, help="Measure how long a visitor waits, and why.")
console = Console(highlight=False)

JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the figures here.")]
HtmlFile = Annotated[Path | None, typer.Option("--html", help="Write a page here.")]
ClipsFolder = Annotated[Path | None, typer.Option(help="Folder with clips.toml.")]


@app.command()
def latency(
    turns: Annotated[int, typer.Option(min=1, help="Turns that count.")] = 26,
    config: ConfigFile = None,
    clips: ClipsFolder = None,
    json: JsonFile = None,
    html: HtmlFile = None,
) -> None:
    """Ask recorded questions at real-time pace, and measure the wait for each answer."""
    from halfsecond_bench.latency import measure

    settings = load(config)
    asked = questions(load_clips(clips or default_folder()), language=settings.language)
    if not asked:
        raise ConfigError(f"no clip asks a question in {settings.language!r}; see clips.toml")
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("asking", total=turns)
        report = asyncio.run(
            measure(
                asked,
                turns=turns,
                config_toml=_toml(config),
                profile=str(config.stem if config else "default"),
                threads=_threads(settings),
                face_models=open_store(settings).path(settings.face.model),
                progress=lambda done: progress.update(task, completed=done),
            )
        )
    _print_latency(report)
    _write_json(json, report)
    if html is not None:
        from halfsecond_bench.latency_page import write_page

        html.write_text(write_page(report), encoding="utf-8")
        console.print(f"wrote {html}")


@app.command()
def stages(
    config: ConfigFile = None,
    clips: ClipsFolder = None,
    rounds: Annotated[int, typer.Option(min=3, help="Repetitions of each measurement.")] = 9,
    json: JsonFile = None,
) -> None:
    """Measure each model alone: speed, and the words that a short context keeps."""
    from halfsecond_bench.stages import measure, print_report

    report = measure(load(config), load_clips(clips or default_folder()), rounds=rounds)
    print_report(report, console)
    _write_json(json, report)


def _toml(config: Path | None) -> str:
    """The config as the server will read it, with the log that the harness understands."""
    text = config.read_text(encoding="utf-8") if config else ""
    if "[log]" in text:
        raise ConfigError("the harness sets [log] itself; measure with a config without it")
    return f'{text}\n[log]\nformat = "json"\nlevel = "info"\n'


def _threads(config: Config) -> dict[str, int]:
    return {
        "asr": config.asr.threads,
        "llm": config.llm.threads,
        "tts": config.tts.threads,
        "face": config.face.threads,
    }


def _print_latency(report: LatencyReport) -> None:
    table = Table("", "p50", "p95", "max", "n", box=None, pad_edge=False)
    for field in msgspec.structs.fields(LatencyReport):
        values = getattr(report, field.name)
        if hasattr(values, "p50"):
            table.add_row(
                field.name, f"{values.p50:.1f}", f"{values.p95:.1f}", f"{values.max:.1f}",
                str(values.n),
            )  # fmt: skip
    console.print(f"{report.turns} turns, profile {report.profile}, {report.device}")
    console.print(table)
    low, high = report.true_answers_interval
    console.print(
        f"gaps {report.gaps}, cut-ins {report.false_cutoffs}, least fps {report.fps_min:.1f}, "
        f"sound ahead of lips {report.av_offset_signed_median_ms} ms (median), "
        f"memory {report.rss_mb:.0f} MB (peak {report.rss_peak_mb:.0f}), "
        f"ready in {report.ready_s:.1f} s, {report.cpu_share:.2f} cores\n"
        f"WER {100 * report.wer:.1f} % over {report.turns} turns; true answers "
        f"{report.true_answers}/{report.turns} ({100 * low:.0f}–{100 * high:.0f} %)"
    )


def _write_json(path: Path | None, report: object) -> None:
    if path is not None:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1))
        console.print(f"wrote {path}")
