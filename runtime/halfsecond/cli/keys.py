"""`halfsecond keys`: CURVE key pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from halfsecond.bus.keys import create


def keys(
    directory: Annotated[Path, typer.Argument(help="Where the server's keys are kept.")],
    client: Annotated[str, typer.Option(help="Name of the client to admit.")] = "client",
) -> None:
    """Make the server's key pair and one for a client, and admit that client."""
    own = create(directory, client=client)
    typer.echo(f"set server.keys = {str(directory)!r} in the config of the server")
    typer.echo(f"copy {own} to the client and start it with --keys {own.name}")
