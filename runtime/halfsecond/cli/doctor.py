"""`halfsecond doctor`: what this machine has, what is missing, and the remedy for each."""

from __future__ import annotations

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from halfsecond.cli.options import ConfigFile, JsonFlag
from halfsecond.config import load
from halfsecond.diagnosis import Finding, examine

MARKS = {
    "ok": "[green]ok[/green]",
    "warning": "[yellow]warning[/yellow]",
    "error": "[red]error[/red]",
}


def doctor(config: ConfigFile = None, json: JsonFlag = False) -> None:
    """Look at devices, providers, models, ports and audio; every finding has its remedy."""
    findings = examine(load(config))
    if json:
        typer.echo(msgspec.json.format(msgspec.json.encode(findings), indent=2).decode())
    else:
        _print(findings)
    if any(finding.verdict == "error" for finding in findings):
        raise typer.Exit(1)


def _print(findings: list[Finding]) -> None:
    table = Table("what", "", "found", "remedy", box=None, pad_edge=False)
    for finding in findings:
        table.add_row(
            finding.subject, MARKS[finding.verdict], escape(finding.found), escape(finding.remedy)
        )
    Console(highlight=False).print(table)
