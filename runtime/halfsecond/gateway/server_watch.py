"""Whether the server behind the gateway is there, asked every second without opening a session."""

from __future__ import annotations

import asyncio
import contextlib

import zmq
import zmq.asyncio

from halfsecond import wire
from halfsecond.bus import sockets
from halfsecond.bus.keys import ClientKeys
from halfsecond.errors import WireError
from halfsecond.timeline import Now, monotonic

INTERVAL_S = 1.0
AWAY_AFTER_S = 3.0
MAX_MESSAGE_BYTES = 64 * 1024


class ServerWatch:
    """Knows when the server last answered. Run `run`."""

    def __init__(
        self, address: str, *, keys: ClientKeys | None = None, now: Now = monotonic
    ) -> None:
        self._address = address
        self._keys = keys
        self._now = now
        self._heard_s = float("-inf")
        self.round_trip_s = float("inf")
        """Of the newest answer."""

    @property
    def is_there(self) -> bool:
        """Whether it answered lately."""
        return self._now() - self._heard_s < AWAY_AFTER_S

    async def run(self) -> None:
        """Asks until cancelled."""
        context = zmq.asyncio.Context()
        socket = sockets.dealer(context, max_message_bytes=MAX_MESSAGE_BYTES)
        if self._keys is not None:
            self._keys.apply(socket)
        socket.connect(self._address)
        asking = asyncio.create_task(self._ask(socket))
        try:
            while True:
                frames = await socket.recv_multipart()
                with contextlib.suppress(WireError):
                    self._on_reply(wire.decode_from_server(frames)[0])
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            socket.close()
            context.term()

    def _on_reply(self, message: wire.ServerMessage) -> None:
        if isinstance(message, wire.Clock):
            self._heard_s = self._now()
            self.round_trip_s = self._heard_s - message.client_s

    async def _ask(self, socket: zmq.asyncio.Socket) -> None:
        while True:
            with contextlib.suppress(zmq.ZMQError, asyncio.TimeoutError):
                clock = wire.encode(wire.Clock(client_s=self._now()))
                await asyncio.wait_for(socket.send_multipart(clock), INTERVAL_S)
            await asyncio.sleep(INTERVAL_S)
