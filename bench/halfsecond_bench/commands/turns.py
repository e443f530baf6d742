"""`halfsecond bench turns`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from halfsecond.cli.options import ConfigFile
from halfsecond.config import load
from halfsecond_bench.clips import default_folder
from halfsecond_bench.commands.options import ClipsFolder, JsonFile, console, write_json
from halfsecond_bench.tables import plain_table
from halfsecond_bench.turn_report import Figures, HalfReport, Rate, TurnsReport

PngFile = Annotated[Path | None, typer.Option("--png", help="Draw the curves here.")]
HalfName = Annotated[
    str, typer.Option("--half", help="tuning, test or both: choose settings on tuning alone.")
]


def turns(
    config: ConfigFile = None,
    clips: ClipsFolder = None,
    half: HalfName = "test",
    json: JsonFile = None,
    png: PngFile = None,
) -> None:
    """Measure how often a visitor who pauses is cut off, and what the others wait for that."""
    from halfsecond_bench.turns import halves_of, measure

    halves = halves_of(half)
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("listening", total=None)
        report = measure(
            load(config),
            clips or default_folder(),
            halves,
            progress=lambda: progress.advance(task),
        )
    for part in report.halves:
        print_half(part)
    _print_rest(report)
    write_json(json, report)
    if png is not None:
        from halfsecond_bench.turn_plot import write

        write(report.halves[-1], png)
        console.print(f"wrote {png}")


def print_half(report: HalfReport) -> None:
    """The curves as a table, and the configured policy's figures."""
    table = plain_table(
        "", "setting", "wait", "p50", "p95", "max ms", "cut off", "95 %", "knowable"
    )
    for curve in report.curves:
        for point in curve.points:
            table.add_row(curve.name, f"{point.setting:+.1f}", *_row(point.figures))
    table.add_row("as configured", "", *_row(report.chosen), style="bold")
    chosen = report.chosen
    console.print(f"\n{report.half} half: {report.clips} clips", table, sep="\n")
    console.print(
        f"confirmed inside a pause {_words(chosen.confirmed)}; cut off if 29.5 % of the pauses "
        f"were longer than 1 s {100 * chosen.cut_off_as_conversation:.0f} %; "
        f"in the middle of speech {report.elsewhere}"
    )
    for name, rates in (
        ("said before", report.by_kind), ("made", report.by_way), ("seconds", report.by_length_s)
    ):  # fmt: skip
        words = ", ".join(f"{key} {_words(value)}" for key, value in rates.items())
        console.print(f"cut off by what was {name}: {words}" if name != "seconds" else words)
    recovery = report.recovery
    console.print(
        f"of those cut off, heard out after all {_words(recovery.repaired)}, after "
        f"{recovery.heard_ms.p50:.0f} ms of an answer (p95 {recovery.heard_ms.p95:.0f})"
    )


def _print_rest(report: TurnsReport) -> None:
    compute = report.compute
    console.print(
        f"\nms: words {compute.words_ms.p50:.0f} (p95 {compute.words_ms.p95:.0f}), sound "
        f"{compute.sound_ms.p50:.0f} ({compute.sound_ms.p95:.0f}), sentence end "
        f"{compute.sentence_end_ms.p50:.0f} ({compute.sentence_end_ms.p95:.0f}); {report.device}"
    )
    for pause in report.real.pauses:
        fate = "cut off" if pause.is_cut_off else "waited"
        console.print(f"real: {pause.clip}, {1000 * pause.length_s:.0f} ms: {fate}")


def _row(figures: Figures) -> list[str]:
    wait, cut = figures.wait_ms, figures.cut_off
    waits = (figures.wait_mean_ms, wait.p50, wait.p95, wait.max)
    return [
        *(f"{wait_ms:.0f}" for wait_ms in waits),
        f"{100 * cut.share:.1f} %",
        f"{100 * cut.low:.0f} to {100 * cut.high:.0f}",
        f"{100 * figures.cut_off_knowable.share:.1f} %",
    ]


def _words(rate: Rate) -> str:
    return f"{rate.hits} of {rate.n} ({100 * rate.low:.0f} to {100 * rate.high:.0f} %)"
