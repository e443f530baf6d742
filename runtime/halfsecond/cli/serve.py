"""`halfsecond serve`: the server, or one stage of it at an address."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer

from halfsecond import log as logs
from halfsecond.bus import sockets
from halfsecond.bus.keys import load_client_keys, load_server_keys
from halfsecond.bus.server import Server
from halfsecond.cli.gateway_process import GatewayProcess
from halfsecond.cli.options import ConfigFile
from halfsecond.config import Config, load
from halfsecond.errors import ConfigError
from halfsecond.heartbeat import Heartbeat
from halfsecond.memory_budget import available_mb, fitted
from halfsecond.metrics import METRICS
from halfsecond.stages.easing import Easing, watch_temperature
from halfsecond.stages.engines import STAGES, Engines, build_engines, build_stage, open_store
from halfsecond.stages.host import StageHost
from halfsecond.stages.lipsync import sweep_faces
from halfsecond.stages.openers import open_persona, open_workshop
from halfsecond.stages.stage import StageHandle
from halfsecond.store import Store
from halfsecond.systemd import ServiceManager
from halfsecond.thermal import read_zones
from halfsecond.uploads.confinement import leave_no_core_dump
from halfsecond.uploads.intake import taken_kinds

log = structlog.get_logger(__name__)


def serve(
    config: ConfigFile = None,
    stage: Annotated[
        str | None, typer.Option(help=f"Serve one stage only: {', '.join(STAGES)}.")
    ] = None,
    bind: Annotated[
        str | None, typer.Option(help="Address to listen at, instead of the config's.")
    ] = None,
    gateway: Annotated[
        bool, typer.Option("--gateway", help="Open it to browsers, too (`halfsecond gateway`).")
    ] = False,
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
    easing = Easing(settings.thermal.margin_c)
    if stage is not None and bind is not None:
        asyncio.run(_serve_stage(settings, stage, bind, easing))
        return
    store = open_store(settings)
    settings = _fitted(settings, store)
    build = engine_builder(settings, store, easing)
    beside = GatewayProcess(config) if gateway else None
    if beside is not None:
        beside.check(settings)
    address = bind or settings.server.bind
    if asyncio.run(run_server(settings, address, build, easing=easing, beside=beside)):
        # The operator asked for it.
        os.execv(sys.executable, [sys.executable, "-m", "halfsecond", *sys.argv[1:]])  # noqa: S606


def engine_builder(settings: Config, store: Store, easing: Easing) -> Callable[[], Engines]:
    """What makes the engines of a server, with this machine's keys for stages on others.

    Raises:
        ConfigError: there are no keys where the config says.
    """
    keys = load_client_keys(Path(settings.stages.keys)) if settings.stages.keys else None
    return partial(build_engines, settings, store, keys=keys, easing=easing)


def _fitted(settings: Config, store: Store) -> Config:
    """The config with models that fit into the memory of this machine; the log says which."""
    if not settings.memory.is_fitted:
        return settings
    fit = fitted(settings, store, available_mb=available_mb())
    for note in fit.notes:
        log.warning("a smaller model is taken", reason=note)
    if not fit.does_fit:
        log.warning(
            "memory may run out; free some, or fetch smaller models",
            needed_mb=fit.needed_mb,
            reserve_mb=settings.memory.reserve_mb,
            available_mb=available_mb(),
        )
    return fit.config


async def run_server(
    settings: Config,
    address: str,
    build: Callable[[], Engines],
    *,
    easing: Easing | None = None,
    beside: GatewayProcess | None = None,
) -> bool:
    """Answers at an address until SIGINT or SIGTERM; the log says "ready" once it can.

    easing: what the temperature of this machine sets, if the engines take note of it. beside: a
    gateway that runs as long as the server does. Returns whether SIGHUP asked for a new start.
    """
    started_s = time.monotonic()
    if settings.log.metrics_port:
        METRICS.serve(settings.log.metrics_port)
    keys = load_server_keys(Path(settings.server.keys)) if settings.server.keys else None
    engines = build()
    workshop = open_workshop(settings, open_store(settings))
    if workshop is not None:
        leave_no_core_dump()
    server = Server(settings, engines, open_persona(settings), keys=keys, workshop=workshop)
    stop = _stop_signal()
    again = _again_signal(stop) if beside is not None else asyncio.Event()
    bound = await server.open(address)
    # What was loaded stays. To look through it takes the collector 37 ms (measured on two cores of
    # an AMD EPYC), in the middle of somebody's answer; without it less than 0.1 ms.
    gc.collect()
    gc.freeze()
    manager = ServiceManager.of(os.environ)
    log.info("ready", address=bound, seconds=round(time.monotonic() - started_s, 2))
    manager.ready(f"ready at {bound}")
    serving = asyncio.create_task(server.serve())
    running: list[asyncio.Task[None]] = [serving]
    if beside is not None:
        running.append(asyncio.create_task(beside.run(bound)))
    async with _watching(settings, engines, manager, easing):
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({*running, stopping}, return_when="FIRST_COMPLETED")
    log.info("stopping")
    manager.stopping()
    ended = [task for task in running if task.done()]
    for task in running:
        task.cancel()
    if beside is not None:
        await beside.stop()
    await server.close()
    for task in ended:
        task.result()
    return again.is_set()


async def _serve_stage(settings: Config, name: str, address: str, easing: Easing) -> None:
    keys = load_server_keys(Path(settings.server.keys)) if settings.server.keys else None
    if taken_kinds(settings.uploads):
        leave_no_core_dump()
    stage = build_stage(name, settings, open_store(settings), easing=easing)
    host = StageHost(stage, address, keys=keys)
    stop = _stop_signal()
    bound = await host.open()
    manager = ServiceManager.of(os.environ)
    log.info("ready", stage=name, address=bound)
    manager.ready(f"{name} ready at {bound}")
    async with _watching(settings, [host.local], manager, easing):
        sweeping = asyncio.create_task(sweep_faces(host.local)) if name == "lipsync" else None
        await stop.wait()
        if sweeping is not None:
            sweeping.cancel()
    manager.stopping()
    await host.close()


@contextlib.asynccontextmanager
async def _watching(
    settings: Config,
    stages: Iterable[StageHandle[Any, Any]],
    manager: ServiceManager,
    easing: Easing | None,
) -> AsyncIterator[None]:
    """Beats for the service manager and looks at the temperature while the body runs."""
    tasks = [asyncio.create_task(Heartbeat(stages, manager).run())]
    if easing is not None and settings.thermal.is_watched:
        tasks.append(asyncio.create_task(watch_temperature(easing, read_zones)))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _again_signal(stop: asyncio.Event) -> asyncio.Event:
    """An event that SIGHUP sets, with the one that stops."""
    again = asyncio.Event()

    def start_again() -> None:
        again.set()
        stop.set()

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, start_again)
    return again


def _stop_signal() -> asyncio.Event:
    """An event that SIGINT and SIGTERM set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop
