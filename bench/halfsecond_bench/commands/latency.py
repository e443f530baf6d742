"""`halfsecond bench latency`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress

from halfsecond.cli.options import ConfigFile
from halfsecond.config import load
from halfsecond.stages.engines import open_store
from halfsecond_bench.clips import false_alarms, interruptions
from halfsecond_bench.commands.options import (
    ClipsFolder,
    HistoryFolder,
    HtmlFile,
    JsonFile,
    asked_questions,
    console,
    profile_name,
    recorded_clips,
    server_toml,
    thread_counts,
    write_json,
    write_page,
    write_record,
)
from halfsecond_bench.latency import LatencyReport, measure
from halfsecond_bench.results import result_of
from halfsecond_bench.statistics import Distribution
from halfsecond_bench.tables import distributions_table


def latency(
    turns: Annotated[int, typer.Option(min=1, help="Turns that count.")] = 56,
    config: ConfigFile = None,
    clips: ClipsFolder = None,
    json: JsonFile = None,
    html: HtmlFile = None,
    history: HistoryFolder = None,
    record: Annotated[
        bool, typer.Option("--record", help="Add the result to the history, in compact form.")
    ] = False,
) -> None:
    """Ask recorded questions at real-time pace, and measure the wait for each answer."""
    report = run(turns=turns, config=config, clips=clips)
    _print(report)
    write_json(json, report)
    measured = result_of(report)
    if record:
        write_record(measured, history)
    write_page(html, measured, history)


def run(
    *, turns: int, config: Path | None, clips: Path | None, console: Console = console
) -> LatencyReport:
    """The measurement with its progress bar."""
    settings = load(config)
    recorded = recorded_clips(clips)
    asked = asked_questions(settings, recorded)
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("asking", total=turns)
        return asyncio.run(
            measure(
                asked,
                turns=turns,
                interruptions=interruptions(recorded),
                false_alarms=false_alarms(recorded),
                config_toml=server_toml(config),
                profile=profile_name(config),
                threads=thread_counts(settings),
                face_models=open_store(settings).path(settings.face.model),
                progress=lambda done: progress.update(task, completed=done),
            )
        )


def _print(report: LatencyReport) -> None:
    names = [field.name for field in msgspec.structs.fields(LatencyReport)]
    values = ((name, getattr(report, name)) for name in names)
    console.print(f"{report.turns} turns, profile {report.profile}, {report.device}")
    console.print(distributions_table((n, v) for n, v in values if isinstance(v, Distribution)))
    low, high = report.true_answers_interval
    console.print(
        f"gaps {report.gaps}, cut-ins {report.false_cutoffs}, least fps {report.fps_min:.1f}, "
        f"sound ahead of lips {report.av_offset_signed_median_ms} ms (median), "
        f"memory {report.rss_mb:.0f} MB (peak {report.rss_peak_mb:.0f}), "
        f"ready in {report.ready_s:.1f} s, {report.cpu_share:.2f} cores\n"
        f"WER {100 * report.wer:.1f} % over {report.turns} turns; true answers "
        f"{report.true_answers}/{report.turns} ({100 * low:.0f}–{100 * high:.0f} %)"
    )
    over = report.barge_in
    console.print(
        f"over answers: {over.false_alarms} coughs, clicks and mm-hms abandoned "
        f"{len(over.answers_abandoned)} {over.answers_abandoned}, "
        f"resumed late {over.resumed_late}; "
        f"{over.barge_in_pause_ms.n} interruptions, missed {over.missed_interruptions}"
    )
