"""`python -m halfsecond_bench.gpu_check`: the same as `halfsecond bench gpu`."""

from __future__ import annotations

import sys

import typer

from halfsecond.cli import USER_MISTAKE
from halfsecond.errors import HalfsecondError
from halfsecond_bench.commands.gpu import gpu


def main() -> None:
    """Runs the command; the user's mistakes are one line and no traceback."""
    try:
        typer.run(gpu)
    except HalfsecondError as error:
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        sys.exit(USER_MISTAKE)


if __name__ == "__main__":
    main()
