"""A client of pyzmq and msgpack alone, that may say anything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import msgpack  # type: ignore[import-untyped]
import zmq
import zmq.asyncio

TIMEOUT_S = 60.0
"""Ends a test that would wait for ever; a worker that lets all others go first may take long."""


def header(kind: str, /, **fields: object) -> bytes:
    """A header with these fields, whatever they are."""
    return cast(bytes, msgpack.packb({"type": kind, **fields}))


class Peer:
    """One DEALER socket."""

    def __init__(self, socket: zmq.asyncio.Socket) -> None:
        self.socket = socket

    async def send(self, kind: str, payload: bytes = b"", /, **fields: Any) -> None:
        await self.socket.send_multipart([header(kind, **fields), payload])

    async def send_frames(self, *frames: bytes) -> None:
        await self.socket.send_multipart(list(frames))

    async def receive(self, *kinds: str, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
        """The next message of these types; others are passed over."""

        async def read() -> dict[str, Any]:
            while True:
                head, payload = await self.socket.recv_multipart()
                message = dict(msgpack.unpackb(head))
                if message["type"] in kinds:
                    return {**message, "payload": payload}

        return await asyncio.wait_for(read(), timeout_s)

    async def receive_until(self, last: str, *kinds: str) -> list[dict[str, Any]]:
        """The messages of these types before the first one of type `last`."""
        before: list[dict[str, Any]] = []
        while (message := await self.receive(last, *kinds))["type"] != last:
            before.append(message)
        return before

    async def hello(self, **wishes: Any) -> dict[str, Any]:
        """Opens a session; the welcome."""
        await self.send("hello", **wishes)
        return await self.receive("welcome")

    async def is_answered(self) -> bool:
        """Whether the server answers a clock, and knows a session."""
        await self.send("clock", client_s=1.0)
        return bool((await self.receive("clock"))["session"])


@asynccontextmanager
async def plain_peer(address: str) -> AsyncIterator[Peer]:
    """A socket that is connected to the address, without keys."""
    context = zmq.asyncio.Context()
    socket = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.LINGER, 0)
    socket.connect(address)
    try:
        yield Peer(socket)
    finally:
        socket.close()
        context.term()
