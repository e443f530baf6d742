"""`python -m halfsecond_bench.instant_server`: the server, on engines that take no time."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from halfsecond import log
from halfsecond.cli.serve import run_server
from halfsecond.config import load
from halfsecond_bench.instant_engines import instant_engines


def serve(config: Annotated[Path, typer.Option()], bind: Annotated[str, typer.Option()]) -> None:
    """Answer until it is stopped."""
    settings = load(config)
    log.configure(settings.log)
    asyncio.run(run_server(settings, bind, instant_engines))


if __name__ == "__main__":
    typer.run(serve)
