"""A server on fake engines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fakes.engines import FakeEngines
from fakes.servers import QUICK, Running, RunServer
from halfsecond.bus.server import Server
from halfsecond.config import Config
from halfsecond.models.llm.persona import Persona


@pytest.fixture
def run_server(tmp_path: Path) -> RunServer:
    """Starts a server with a config (a quick one by default) on fake engines."""

    @asynccontextmanager
    async def run(
        config: Config = QUICK, engines: FakeEngines | None = None
    ) -> AsyncIterator[Running]:
        engines = engines or FakeEngines()
        server = Server(config, engines.handles(), Persona())
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
