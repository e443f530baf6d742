"""`halfsecond bench gate`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from halfsecond.cli.options import ConfigFile, JsonFlag
from halfsecond.errors import ConfigError
from halfsecond_bench.commands.latency import run
from halfsecond_bench.commands.options import ClipsFolder, console, write_json
from halfsecond_bench.gate import GateReport, compare_all, print_report
from halfsecond_bench.results import Result, read_result, result_of

REGRESSED = 1
"""Exit code; results that cannot be compared are the user's mistake, 2."""


def gate(
    baseline: Annotated[
        list[Path], typer.Option(help="Result to compare with; several: worse than all of them.")
    ],
    current: Annotated[
        list[Path] | None,
        typer.Option(help="Result to judge, or several; measured now without one."),
    ] = None,
    force: Annotated[
        str | None,
        typer.Option(help="Why to compare results of another device or profile.", metavar="REASON"),
    ] = None,
    json: JsonFlag = False,
    config: ConfigFile = None,
    clips: ClipsFolder = None,
    turns: Annotated[
        int | None, typer.Option(min=10, help="Turns to measure; as many as the baseline's.")
    ] = None,
    runs: Annotated[
        int, typer.Option(min=1, help="Measurements at most: what is worse must be so in all.")
    ] = 2,
    save: Annotated[Path | None, typer.Option(help="Write what was measured last here.")] = None,
) -> None:
    """Fail (exit code 1) when a result is worse than an earlier one by more than noise."""
    before = [read_result(path) for path in baseline]
    words = Console(stderr=True, highlight=False) if json else console
    if current:
        report = compare_all(before, [read_result(path) for path in current], force=force)
    else:
        measure = partial(_measure, before[0], words, config, clips, turns, save)
        report = _judge_now(before, measure, runs=runs, force=force)
    if json:
        typer.echo(msgspec.json.format(msgspec.json.encode(report), indent=1).decode())
    else:
        print_report(report, console)
    if report.has_regressed:
        raise typer.Exit(REGRESSED)


def _judge_now(
    before: list[Result], measure: Callable[[], Result], *, runs: int, force: str | None
) -> GateReport:
    """Measures until nothing is worse in all runs, or as often as is allowed."""
    after = [measure()]
    while (report := compare_all(before, after, force=force)).has_regressed and len(after) < runs:
        after.append(measure())
    return report


def _measure(
    before: Result,
    words: Console,
    config: Path | None,
    clips: Path | None,
    turns: int | None,
    save: Path | None,
) -> Result:
    if before.kind != "latency":
        raise ConfigError(
            f"the baseline is a {before.kind!r} result, and only `bench latency` is measured here; "
            "give the other result with --current"
        )
    report = run(turns=turns or before.turns, config=config, clips=clips, console=words)
    write_json(save, report, console=words)
    return result_of(report)
