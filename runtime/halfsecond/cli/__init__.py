"""The `halfsecond` command."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from halfsecond import __version__
from halfsecond.errors import ConfigError, HalfsecondError

COMMANDS_GROUP = "halfsecond.commands"
"""Entry points of the commands that other packages bring: `export`, `engines`, `bench`."""

USER_MISTAKE = 2
"""Exit code for what the user can mend."""


class _Commands(TyperGroup):
    """The runtime's commands, and those of entry points, imported when they are called."""

    def list_commands(self, ctx: Any) -> list[str]:
        found = [point.name for point in entry_points(group=COMMANDS_GROUP)]
        return sorted({*super().list_commands(ctx), *found})

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        for point in entry_points(group=COMMANDS_GROUP):
            if point.name == cmd_name:
                return _load(point)
        return None


def _load(point: EntryPoint) -> Any:
    """The command of an entry point; one that says what is missing where it cannot be imported."""
    try:
        command = typer.main.get_command(point.load())
    except ImportError as error:
        command = typer.main.get_command(_unavailable(point.name, error))
    command.name = point.name
    return command


def _unavailable(name: str, error: ImportError) -> typer.Typer:
    stand_in = typer.Typer(help=f"Not available: {error}.")

    @stand_in.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
    def fail() -> None:
        raise ConfigError(
            f"`halfsecond {name}` cannot be loaded ({error}); "
            "pip install 'halfsecond[demo]' brings what it needs"
        ) from error

    return stand_in


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="One photo and a voice become a face that answers aloud within half a second, offline.",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"halfsecond {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version)
    ] = False,
) -> None:
    del version
    from halfsecond import log
    from halfsecond.config import LogConfig

    # Warnings go to stderr: what a command prints may be JSON. `serve` and `gateway` set their own.
    log.configure(LogConfig(level="warning"))


def _mount() -> None:
    from halfsecond.cli import config, demo, doctor, gateway, keys, models, serve, stream, talk

    app.add_typer(models.app, name="models", help="Fetch, list and verify models.")
    app.add_typer(config.app, name="config", help="Check and show the config.")
    app.command("demo")(demo.demo)
    app.command("serve")(serve.serve)
    app.command("talk")(talk.talk)
    app.command("stream")(stream.stream)
    app.command("doctor")(doctor.doctor)
    app.command("keys")(keys.keys)
    app.command("gateway")(gateway.gateway)
    app.command("token")(gateway.token)
    app.command("certificate")(gateway.certificate)


def main() -> None:
    """Runs the command line; the user's mistakes end with code 2 and a message, no traceback."""
    _mount()
    try:
        app()
    except HalfsecondError as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(
            f"[red]{type(error).__name__}[/red]: ", end=""
        )
        typer.echo(str(error), err=True)
        sys.exit(USER_MISTAKE)
    except KeyboardInterrupt:
        sys.exit(130)
