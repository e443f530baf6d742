"""What the export commands share: where models are, progress, and what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from halfsecond.artifact import Artifact
from halfsecond.errors import ConfigError, HalfsecondError, ModelError

Home = Annotated[
    Path | None,
    typer.Option(
        "--home", help="Where models are kept; by default HALFSECOND_HOME or as installed."
    ),
]


REJECTED = 1
"""Exit code when an artifact was written that must not be used."""


def encoded(out: Path, artifacts: Mapping[Any, Artifact]) -> str:
    """What `--json` prints of artifacts below `out`, by the name of their directory."""
    rows = {
        name: {
            "directory": str(out / name),
            "is_rejected": artifact.is_rejected,
            "artifact": artifact,
        }
        for name, artifact in artifacts.items()
    }
    return msgspec.json.format(msgspec.json.encode(rows), indent=2).decode()


def report(title: str, out: Path, artifacts: Mapping[str, Artifact], *, as_json: bool) -> None:
    """Prints what was compared of artifacts below `out`; exits with `REJECTED` where one missed a
    tolerance."""
    if as_json:
        typer.echo(encoded(out, artifacts))
    else:
        console = Console()
        console.print(_checks_table(f"{title} in {out}", artifacts))
        for name, artifact in artifacts.items():
            if artifact.is_rejected:
                console.print(f"{name} is rejected and will not be used", markup=False)
    exit_if_rejected(artifacts)


def exit_if_rejected(artifacts: Mapping[Any, Artifact]) -> None:
    """Ends the command where an artifact must not be used."""
    if any(artifact.is_rejected for artifact in artifacts.values()):
        raise typer.Exit(REJECTED)


def _checks_table(title: str, artifacts: Mapping[str, Artifact]) -> Table:
    """What was compared of each artifact, and whether it is near enough."""
    table = Table(box=None, title=title, title_justify="left")
    for column in ("format", "MB", "check", "value", "n", "tolerance", ""):
        table.add_column(column)
    for name, artifact in artifacts.items():
        size = sum(file.size_bytes for file in artifact.files.values()) / 1e6
        for at, check in enumerate(artifact.checks):
            bound = f"≤ {check.at_most:g}" if check.at_most is not None else ""
            bound = f"≥ {check.at_least:g}" if check.at_least is not None else bound
            table.add_row(
                "" if at else name,
                "" if at else f"{size:.0f}",
                check.what,
                f"{check.value:.3g}{check.unit}",
                str(check.n),
                bound,
                "" if check.is_met else "missed",
            )
    return table


@contextmanager
def extra_packages(command: str, *, extra: str = "export") -> Iterator[None]:
    """Turns a package that is not installed into an error that says what to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"`halfsecond export {command}` needs {error.name}, which is not installed; "
            f"pip install 'halfsecond[{extra}]' brings it"
        ) from error


@contextmanager
def written_to(out: Path) -> Iterator[None]:
    """Turns a full disk or a folder that cannot be written to into an error that says so."""
    try:
        yield
    except HalfsecondError:
        raise
    except OSError as error:
        raise ModelError(
            f"{out} could not be written: {error}; what was there before is as it was. Make "
            "room, or choose another place with --out"
        ) from error


@contextmanager
def progress_bar(console: Console) -> Iterator[Callable[[float, str], None]]:
    """Gives what shows a part that is done, 0 to 1, and a text, on the console."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
    with bar:
        task = bar.add_task("", total=1.0)
        yield lambda done, text: bar.update(task, completed=done, description=text)
