"""`halfsecond serve`: the server, or one stage of it at an address."""

from __future__ import annotations

import asyncio
import gc
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import structlog
import typer

from halfsecond import log as logs
from halfsecond.bus import sockets
from halfsecond.bus.keys import load_server_keys
from halfsecond.bus.server import Server
from halfsecond.cli.options import ConfigFile
from halfsecond.config import Config, load
from halfsecond.errors import ConfigError
from halfsecond.metrics import METRICS
from halfsecond.stages.engines import STAGES, Engines, build_engines, build_stage, open_store
from halfsecond.stages.host import StageHost
from halfsecond.stages.openers import open_persona

log = structlog.get_logger(__name__)


def serve(
    config: ConfigFile = None,
    stage: Annotated[
        str | None, typer.Option(help=f"Serve one stage only: {', '.join(STAGES)}.")
    ] = None,
    bind: Annotated[
        str | None, typer.Option(help="Address to listen at, instead of the config's.")
    ] = None,
) -> None:
    """Start the server and answer until it is stopped."""
    settings = load(config)
    logs.configure(settings.log)
    if stage is not None and stage not in STAGES:
        raise ConfigError(f"there is no stage {stage!r}; it can be one of: {', '.join(STAGES)}")
    if stage is not None and bind is None:
        raise ConfigError("a stage needs an address: --bind ipc:///tmp/halfsecond/lipsync.ipc")
    # Before any model is loaded: a mistake is told at once.
    sockets.check_exposure(bind or settings.server.bind, has_keys=bool(settings.server.keys))
    if stage is not None and bind is not None:
        asyncio.run(_serve_stage(settings, stage, bind))
    else:
        address = bind or settings.server.bind
        asyncio.run(
            run_server(settings, address, lambda: build_engines(settings, open_store(settings)))
        )


async def run_server(settings: Config, address: str, build: Callable[[], Engines]) -> None:
    """Answers at an address until SIGINT or SIGTERM; the log says "ready" once it can."""
    started_s = time.monotonic()
    if settings.log.metrics_port:
        METRICS.serve(settings.log.metrics_port)
    keys = load_server_keys(Path(settings.server.keys)) if settings.server.keys else None
    server = Server(settings, build(), open_persona(settings), keys=keys)
    stop = _stop_signal()
    bound = await server.open(address)
    # What was loaded stays. To look through it takes the collector 37 ms (measured on two cores of
    # an AMD EPYC), in the middle of somebody's answer; without it less than 0.1 ms.
    gc.collect()
    gc.freeze()
    log.info("ready", address=bound, seconds=round(time.monotonic() - started_s, 2))
    serving = asyncio.create_task(server.serve())
    await asyncio.wait({serving, asyncio.create_task(stop.wait())}, return_when="FIRST_COMPLETED")
    if serving.done():
        serving.result()
    serving.cancel()
    log.info("stopping")
    await server.close()


async def _serve_stage(settings: Config, name: str, address: str) -> None:
    keys = load_server_keys(Path(settings.server.keys)) if settings.server.keys else None
    host = StageHost(build_stage(name, settings, open_store(settings)), address, keys=keys)
    stop = _stop_signal()
    bound = await host.open()
    log.info("ready", stage=name, address=bound)
    await stop.wait()
    await host.close()


def _stop_signal() -> asyncio.Event:
    """An event that SIGINT and SIGTERM set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop
