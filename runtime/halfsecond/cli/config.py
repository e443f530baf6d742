"""`halfsecond config`: check a config file, show what is in force."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from halfsecond.cli.options import ConfigFile
from halfsecond.config import load
from halfsecond.config.check import check_usable
from halfsecond.config.reference import reference_page

app = typer.Typer(no_args_is_help=True)


@app.command()
def check(path: Annotated[Path, typer.Argument(help="Config file.")]) -> None:
    """Tell whether a config file can be used, without starting anything."""
    check_usable(load(path))
    typer.echo(f"{path} is valid")


@app.command()
def reference() -> None:
    """Print the reference page of the config, in Markdown."""
    typer.echo(reference_page(), nl=False)


@app.command()
def show(config: ConfigFile = None) -> None:
    """Print every setting that is in force, as JSON."""
    text = msgspec.json.format(msgspec.json.encode(load(config)), indent=2)
    typer.echo(text.decode())
