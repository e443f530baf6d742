"""A server on fake engines, and clients of it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from halfsecond import wire
from halfsecond.bus.server import Server
from halfsecond.client import Client
from halfsecond.config import Config, FaceConfig, ServerConfig, TurnConfig
from halfsecond.models.llm.persona import Persona

sys.path.insert(0, str(Path(__file__).parent))  # tests are no package; their fakes are shared

from fake_engines import FakeEngines

QUICK = Config(
    server=ServerConfig(max_sessions=2, session_timeout_s=2.0, stall_timeout_s=1.0),
    turn=TurnConfig(silence_s=0.2, pause_s=0.1, min_speech_s=0.09),
    face=FaceConfig(idle_fps=0),
)


@dataclass
class Running:
    """A server that runs on this loop."""

    address: str
    engines: FakeEngines
    server: Server

    def client(self, **wishes: object) -> Client:
        hello = msgspec.convert({"client": "test", **wishes}, wire.Hello)
        return Client(self.address, hello=hello, timeout_s=5)


RunServer = Callable[..., AbstractAsyncContextManager[Running]]


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
