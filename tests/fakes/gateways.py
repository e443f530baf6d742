"""A gateway before a server on fake engines, and a browser that a test plays."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect

from halfsecond.config import Config
from halfsecond.gateway.app import Gateway
from halfsecond.gateway.running import listen, open_gateway, web_server
from halfsecond.gateway.tokens import WallClock

SPEECH = (0.5 * 32767 * (1 if i % 48 < 24 else -1) for i in range(960))
LOUD_BLOCK = struct.pack("<960h", *map(int, SPEECH))
"""20 ms at 48 kHz that the fake VAD takes for speech."""
SILENT_BLOCK = bytes(1920)


@dataclass(frozen=True)
class Answered:
    """What came back for a request."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


@dataclass
class Browser:
    """A WebSocket of the gateway, and all that came by it."""

    socket: ClientConnection
    messages: list[dict[str, Any]] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)

    async def say(self, **message: Any) -> None:
        """Sends a message."""
        await self.socket.send(json.dumps(message))

    async def until(self, kind: str, **fields: Any) -> dict[str, Any]:
        """The next message of that kind with these fields; what comes before is kept, too."""
        while True:
            message = await self.next()
            if message["type"] == kind and fields.items() <= message.items():
                return message

    async def next(self) -> dict[str, Any]:
        """The next message; its payload is the last of `payloads`."""
        data = await asyncio.wait_for(self.socket.recv(), 5)
        payload = b""
        if isinstance(data, bytes):
            (size,) = struct.unpack_from("<H", data)
            payload = data[2 + size :]
            data = data[2 : 2 + size]
        message: dict[str, Any] = json.loads(data)
        self.messages.append(message)
        self.payloads.append(payload)
        return message

    async def speak(self, seconds: float = 0.4, silence_s: float = 0.6) -> None:
        """Speech and the silence that ends it."""
        for _ in range(int(seconds / 0.02)):
            await self.socket.send(LOUD_BLOCK)
        for _ in range(int(silence_s / 0.02)):
            await self.socket.send(SILENT_BLOCK)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """What came of that kind."""
        return [message for message in self.messages if message["type"] == kind]

    def sound(self) -> bytes:
        """The PCM (or packets) of the answer that came."""
        both = zip(self.messages, self.payloads, strict=True)
        return b"".join(payload for message, payload in both if message["type"] == "audio")


@asynccontextmanager
async def browser_at(
    port: int, *, token: str = "", hello: bool = True, **wishes: Any
) -> AsyncIterator[Browser]:
    """A page of the gateway at that port, which has connected, and said hello."""
    protocols = ["halfsecond.1", *([f"bearer.{token}"] if token else [])]
    async with connect(
        f"ws://127.0.0.1:{port}/api/talk",
        subprotocols=protocols,  # type: ignore[arg-type]
        proxy=None,
        max_size=None,
        compression=None,
        max_queue=None,
        close_timeout=1,
    ) as socket:
        browser = Browser(socket)
        if hello:
            await browser.say(type="hello", audio_rate_hz=48_000, credit=50, **wishes)
            await browser.until("welcome")
        yield browser


@dataclass
class RunningGateway:
    """A gateway that runs on this loop."""

    port: int
    gateway: Gateway

    def browser(
        self, *, token: str = "", hello: bool = True, **wishes: Any
    ) -> AbstractAsyncContextManager[Browser]:
        """A page that has connected, and said hello."""
        return browser_at(self.port, token=token, hello=hello, **wishes)

    async def request(
        self, method: str, path: str, *, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Answered:
        """One HTTP request, from a thread."""

        def ask() -> Answered:
            connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
            try:
                connection.request(method, path, body=body or None, headers=headers or {})
                answer = connection.getresponse()
                found = {name.lower(): value for name, value in answer.getheaders()}
                return Answered(answer.status, found, answer.read())
            finally:
                connection.close()

        return await asyncio.to_thread(ask)


RunGateway = Callable[..., AbstractAsyncContextManager[RunningGateway]]


@asynccontextmanager
async def running_gateway(
    config: Config, address: str, *, clock: WallClock, port: int = 0
) -> AsyncIterator[RunningGateway]:
    """Serves a gateway at a free port (or that one) until the block ends."""
    config = msgspec.structs.replace(
        config, gateway=msgspec.structs.replace(config.gateway, port=port)
    )
    gateway = open_gateway(config, address, clock=clock)
    bound = listen(config.gateway)
    server = web_server(gateway, clock=clock)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    serving = asyncio.create_task(server.serve(sockets=[bound]))
    while not server.started:
        if serving.done():
            serving.result()
        await asyncio.sleep(0.005)
    try:
        yield RunningGateway(bound.getsockname()[1], gateway)
    finally:
        server.should_exit = True
        await serving
        bound.close()
