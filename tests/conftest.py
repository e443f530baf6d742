"""What all tests share: where the models are, and the clips."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

from fakes.engines import FakeEngines
from fakes.servers import QUICK, Running, RunServer
from halfsecond.bus.server import Server
from halfsecond.config import Config
from halfsecond.models.llm.persona import Persona
from halfsecond.store import Store
from halfsecond.uploads.workshop import Workshop

# On a build machine the same examples every time; on a developer's, new ones to find faults with.
settings.register_profile("ci", derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")

ModelDir = Callable[[str], Path]


@pytest.fixture(autouse=True)
def _unconfigured_log() -> Iterator[None]:
    """A command that a test runs in this process sets up its log: for itself alone."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def model_dir() -> ModelDir:
    """Gives the verified directory of a fetched model by its catalog name.

    HALFSECOND_TEST_MODELS names a directory of models to take as they are, instead of the store.
    """
    override = os.environ.get("HALFSECOND_TEST_MODELS")
    if override:
        return lambda name: Path(override) / name
    return Store.default().path


@pytest.fixture(scope="session")
def clips_dir() -> Path:
    """The directory of recorded clips, with clips.toml."""
    return Path(__file__).parent / "clips"


@pytest.fixture
def run_server(tmp_path: Path) -> RunServer:
    """Starts a server with a config (a quick one by default) on fake engines."""

    @asynccontextmanager
    async def run(
        config: Config = QUICK,
        engines: FakeEngines | None = None,
        workshop: Workshop | None = None,
    ) -> AsyncIterator[Running]:
        engines = engines or FakeEngines()
        server = Server(config, engines.handles(), Persona(), workshop=workshop)
        address = await server.open(f"ipc://{tmp_path}/server.ipc")
        serving = asyncio.create_task(server.serve())
        try:
            yield Running(address, engines, server)
        finally:
            engines.release()
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            await server.close()

    return run
