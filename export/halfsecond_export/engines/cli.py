"""`halfsecond engines`: build, list and verify TensorRT engines."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from halfsecond.artifact import Precision
from halfsecond.cli.options import JsonFlag
from halfsecond.engine_library import EngineLibrary
from halfsecond.errors import ConfigError
from halfsecond.store.shelf import default_home
from halfsecond_export.engines.adapters import parse_capability
from halfsecond_export.engines.building import build_engine
from halfsecond_export.engines.conditions import Condition, engine_condition, engine_conditions
from halfsecond_export.engines.job import Step
from halfsecond_export.engines.network import format_profile, parse_profile
from halfsecond_export.engines.planning import BuildRequest

app = typer.Typer(
    no_args_is_help=True, help="Build TensorRT engines, list them, and see whether they fit here."
)

Home = Annotated[
    Path | None,
    typer.Option("--home", help="Where engines are kept (`built` in it); by default as models."),
]

FOLDER = "built"
"""The folder of engines in a home."""


@app.command()
def build(
    source: Annotated[
        Path, typer.Argument(help="ONNX network, or the directory of an exported one.")
    ],
    library: Annotated[
        str, typer.Option(help="tensorrt_rtx needs no GPU; tensorrt builds for the one here.")
    ] = "tensorrt_rtx",
    precision: Annotated[
        str,
        typer.Option(help="fp32, fp16, int8, int8_fp16; by default as exported, or fp16."),
    ] = "",
    sm: Annotated[
        list[str] | None,
        typer.Option(help="Compute capability to build for, as 8.9; several; by default all."),
    ] = None,
    recipe: Annotated[
        str,
        typer.Option(help="Cut and shapes of a known network: wav2lip, whisper-encoder ..."),
    ] = "",
    profile: Annotated[
        list[str] | None,
        typer.Option(metavar="INPUT=MIN:TYPICAL:MAX", help="Shapes, as mel=1x80:5x80:8x80."),
    ] = None,
    cut_inputs: Annotated[
        str, typer.Option(help="Tensors that the engine begins with, with commas.")
    ] = "",
    cut_outputs: Annotated[
        str, typer.Option(help="Tensors that the engine ends with, with commas.")
    ] = "",
    half_io: Annotated[
        bool, typer.Option("--half-io", help="Inputs and outputs in float16 too, for fp16.")
    ] = False,
    workspace_mb: Annotated[
        int, typer.Option(min=0, help="Most scratch memory on the GPU; 0 for no limit.")
    ] = 0,
    name: Annotated[str, typer.Option(help="Name of the engine; by default of the network.")] = "",
    home: Home = None,
    compare: Annotated[
        bool, typer.Option(help="Hold the rewritten network against its source, on the CPU.")
    ] = True,
    force: Annotated[bool, typer.Option("--force", help="Build although it is there.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Build an engine from an ONNX network; one that is there and fits is left."""
    request = BuildRequest(
        source=source,
        folder=_folder(home),
        library=_one_of(library, EngineLibrary, "--library"),
        precision=_one_of(precision, Precision, "--precision") if precision else None,
        name=_checked_name(name),
        recipe=recipe,
        capabilities=tuple(parse_capability(each) for each in sm or ()),
        profiles=dict(parse_profile(each) for each in profile or ()),
        cut_inputs=_names(cut_inputs),
        cut_outputs=_names(cut_outputs),
        keeps_io=not half_io,
        workspace_bytes=workspace_mb * 1_000_000,
        is_compared=compare,
        is_forced=force,
    )
    console = Console(stderr=as_json, highlight=False, soft_wrap=True)
    with _Steps(console) as progress:
        result = build_engine(request, progress=progress, rebuild=_rebuild(request, home))
    condition = engine_condition(result.directory)
    if as_json:
        _print_json(_row(condition) | {"outcome": result.outcome, "took_s": result.took_s})
        raise typer.Exit(1 if condition.state == "refused" else 0)
    console.print(f"{result.outcome} in {result.took_s:.1f} s: {result.directory}", markup=False)
    passes = result.artifact.details.get("passes")
    if passes:
        console.print(f"rewritten for TensorRT: {passes}", markup=False)
    if checks := result.artifact.checks:
        worst = min(checks, key=lambda check: check.value)
        among = f", the worst of {len(checks)}" if len(checks) > 1 else ""
        console.print(f"{worst.what}: {worst.value:.0f}{worst.unit}{among}", markup=False)
    console.print(_table([condition]))
    if condition.detail:
        console.print(f"{_coloured(condition.state)}: {escape(condition.detail)}")
    if condition.state == "refused":
        raise typer.Exit(1)


def _folder(home: Path | None) -> Path:
    return (home or default_home()) / FOLDER


@app.command("list")
def list_engines(home: Home = None, as_json: JsonFlag = False) -> None:
    """Show the engines that were built, and whether this machine can use them; hashes nothing."""
    _report(home, as_json=as_json, is_thorough=False)


@app.command()
def verify(home: Home = None, as_json: JsonFlag = False) -> None:
    """Hash every engine and its source again; exits with 1 if one is refused here."""
    if any(each.state == "refused" for each in _report(home, as_json=as_json, is_thorough=True)):
        raise typer.Exit(1)


def _report(home: Path | None, *, as_json: bool, is_thorough: bool) -> list[Condition]:
    folder = _folder(home)
    conditions = engine_conditions(folder, is_thorough=is_thorough)
    if as_json:
        rows = [_row(each) for each in conditions]
        _print_json({"folder": str(folder), "engines": rows})
        return conditions
    console = Console(highlight=False, soft_wrap=True)
    if not conditions:
        console.print(f"No engines in {folder}; `halfsecond engines build` makes them")
        return conditions
    console.print(_table(conditions))
    for each in conditions:
        if each.detail:
            console.print(f"{each.name} {_coloured(each.state)}: {escape(each.detail)}")
    return conditions


def _table(conditions: Sequence[Condition]) -> Table:
    table = Table()
    for heading in ("engine", "for", "MB", "built in", "state"):
        table.add_column(heading, no_wrap=heading in ("MB", "state"), overflow="fold")
    for each in conditions:
        built = each.artifact
        table.add_row(
            each.name,
            "" if built is None else built.device or " ".join(built.compute_capabilities),
            f"{each.size_bytes / 1e6:.0f}",
            "" if built is None else f"{built.details.get('build_s', 0):.1f} s",
            _coloured(each.state),
        )
    return table


def _row(condition: Condition) -> dict[str, Any]:
    return {
        "name": condition.name,
        "state": condition.state,
        "detail": condition.detail,
        "size_bytes": condition.size_bytes,
        "manifest": condition.artifact,
    }


class _Steps(Progress):
    """A build as one bar: the library's steps, under the name of what it does now."""

    def __init__(self, console: Console) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        super().__init__(*columns, console=console, transient=True)
        self._bar = self.add_task("reading the network", total=None)

    def step(self, step: Step) -> None:
        self.update(self._bar, description=step.phase, completed=step.done, total=step.total)

    def note(self, message: str) -> None:
        self.console.print(message, highlight=False, markup=False, soft_wrap=True)


def _rebuild(request: BuildRequest, home: Path | None) -> list[str]:
    """The command that builds the same engine, from any directory."""
    command = ["halfsecond", "engines", "build", str(request.source.expanduser().absolute())]
    options: list[tuple[str, str]] = [
        ("--library", request.library),
        ("--precision", request.precision or ""),
        ("--recipe", request.recipe),
        ("--cut-inputs", ",".join(request.cut_inputs)),
        ("--cut-outputs", ",".join(request.cut_outputs)),
        ("--workspace-mb", str(request.workspace_bytes // 1_000_000 or "")),
        ("--name", request.name),
        ("--home", str(home.absolute()) if home else ""),
    ]
    options += [("--sm", each) for each in request.capabilities]
    options += [("--profile", format_profile(*item)) for item in request.profiles.items()]
    command += [part for option, value in options if value for part in (option, value)]
    return command if request.keeps_io else [*command, "--half-io"]


def _one_of(value: str, choices: Any, option: str) -> Any:
    known = get_args(choices)
    if value not in known:
        raise ConfigError(f"{option} {value!r}: expected one of {', '.join(known)}")
    return value


def _checked_name(name: str) -> str:
    if name.startswith(".") or "/" in name:
        raise ConfigError(f"--name {name!r}: expected a plain name, without / and no dot in front")
    return name


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _coloured(state: str) -> str:
    colour = {"usable": "green", "refused": "red"}.get(state, "yellow")
    return f"[{colour}]{state}[/{colour}]"


def _print_json(content: Any) -> None:
    encoded = msgspec.json.format(msgspec.json.encode(content), indent=2)
    sys.stdout.write(encoded.decode() + "\n")
