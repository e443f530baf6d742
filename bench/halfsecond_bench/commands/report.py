"""`halfsecond bench report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from halfsecond.errors import ConfigError
from halfsecond_bench.commands.options import HistoryFolder, HtmlFile, write_page, write_record
from halfsecond_bench.results import read_result


def report(
    result: Annotated[Path, typer.Argument(help="What `bench latency --json` wrote.")],
    html: HtmlFile = None,
    history: HistoryFolder = None,
    record: Annotated[
        bool, typer.Option("--record", help="Add the result to the history, in compact form.")
    ] = False,
    commit: Annotated[
        str | None, typer.Option(help="What was measured, for --record; HEAD without one.")
    ] = None,
) -> None:
    """Draw the page of a result that was measured before, or add it to the history."""
    if html is None and not record:
        raise ConfigError("nothing to do: give --html FILE for a page, or --record")
    measured = read_result(result)
    if record:
        write_record(measured, history, commit=commit)
    write_page(html, measured, history)
