"""A server on fake engines, as tests ask for it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import msgspec

from fakes.engines import FakeEngines
from halfsecond import wire
from halfsecond.bus.server import Server
from halfsecond.client import Client
from halfsecond.config import (
    Config,
    EchoConfig,
    EndpointConfig,
    FaceConfig,
    ServerConfig,
    TurnConfig,
)

QUICK = Config(
    server=ServerConfig(max_sessions=2, session_timeout_s=2.0, stall_timeout_s=1.0),
    echo=EchoConfig(kind="none"),
    endpoint=EndpointConfig(mode="silence", silence_s=0.2),
    turn=TurnConfig(pause_s=0.1, min_speech_s=0.09),
    face=FaceConfig(idle_fps=0),
)
"""Short silences, so that tests take little time."""


@dataclass
class Running:
    """A server that runs on this loop."""

    address: str
    engines: FakeEngines
    server: Server

    def client(self, **wishes: object) -> Client:
        """A client whose `hello` has these fields; not yet open."""
        hello = msgspec.convert({"type": "hello", "client": "test", **wishes}, wire.Hello)
        return Client(self.address, hello=hello, timeout_s=5)


RunServer = Callable[..., AbstractAsyncContextManager[Running]]
