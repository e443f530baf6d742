"""A stage at an `ipc://` or `tcp://` address, called as if it were here."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from typing import Any, Generic

import zmq
import zmq.asyncio

from halfsecond.bus import sockets
from halfsecond.bus.keys import ClientKeys
from halfsecond.deadline import within
from halfsecond.errors import StageError
from halfsecond.stages import codec
from halfsecond.stages.host import (
    CANCEL,
    FAILURE,
    HEALTH,
    MAX_MESSAGE_BYTES,
    REPLY,
    RUN,
)
from halfsecond.stages.stage import Cancel, Health, Reply, Request

PROBE_INTERVAL_S = 0.5
SILENCE_LIMIT_S = 2.0
"""A host answers health probes while its engine works, so this much silence means it is gone."""


class RemoteStage(Generic[Request, Reply]):
    """Calls a `StageHost`."""

    def __init__(
        self,
        name: str,
        address: str,
        *,
        reply_type: Any,
        keys: ClientKeys | None = None,
        silence_limit_s: float = SILENCE_LIMIT_S,
    ) -> None:
        self._name = name
        self._address = address
        self._reply_type = reply_type
        self._keys = keys
        self._silence_limit_s = silence_limit_s
        self._ids = itertools.count(1)
        self._waiting: dict[bytes, asyncio.Queue[tuple[bytes, bytes]]] = {}

    @property
    def name(self) -> str:
        return self._name

    async def open(self) -> None:
        self._context = zmq.asyncio.Context()
        self._socket = sockets.dealer(self._context, max_message_bytes=MAX_MESSAGE_BYTES)
        if self._keys is not None:
            self._keys.apply(self._socket)
        self._socket.connect(self._address)
        self._reader = asyncio.create_task(self._read())
        await self.health()

    async def _read(self) -> None:
        while True:
            frames = await self._socket.recv_multipart()
            if len(frames) == 3 and (queue := self._waiting.get(frames[0])) is not None:
                queue.put_nowait((frames[1], frames[2]))

    async def _send(self, request_id: bytes, kind: bytes, body: bytes) -> None:
        try:
            sending = self._socket.send_multipart([request_id, kind, body])
            await within(self._silence_limit_s, sending)
        except asyncio.TimeoutError as error:
            raise self._gone() from error
        except zmq.ZMQError as error:  # the socket went with `close`
            raise StageError(f"stage {self._name} is closed") from error

    def _gone(self) -> StageError:
        return StageError(
            f"stage {self._name} does not answer at {self._address}; "
            f"start it with `halfsecond serve --stage {self._name} --bind {self._address}`"
        )

    async def run(self, request: Request, cancel: Cancel) -> AsyncIterator[Reply]:
        request_id = str(next(self._ids)).encode()
        replies: asyncio.Queue[tuple[bytes, bytes]] = asyncio.Queue()
        self._waiting[request_id] = replies
        is_over = False
        try:
            await self._send(request_id, RUN, codec.encode(request))
            while not cancel.is_set():
                kind, body = await self._next(request_id, replies)
                if kind == REPLY:
                    yield codec.decode(body, self._reply_type)
                    continue
                is_over = True
                if kind == FAILURE:
                    raise codec.decode_error(body)
                break
        finally:
            del self._waiting[request_id]
            if not is_over:
                with contextlib.suppress(StageError):
                    await self._send(request_id, CANCEL, b"")

    async def _next(
        self, request_id: bytes, replies: asyncio.Queue[tuple[bytes, bytes]]
    ) -> tuple[bytes, bytes]:
        """The next reply; probes the host while there is none, to tell slow from gone.

        A host that was started again in the meantime does not know of the request.
        """
        while True:
            try:
                return await within(PROBE_INTERVAL_S, replies.get())
            except asyncio.TimeoutError:
                kind, body = await self._probe(request_id)
                # The last reply may have come just before the answer that nothing is under way.
                if kind == FAILURE and replies.empty():
                    raise codec.decode_error(body) from None

    async def health(self) -> Health:
        """Raises StageError when the host does not answer in time."""
        _, body = await self._probe(b"")
        health: Health = codec.decode(body, Health)
        return health

    async def _probe(self, waited_for: bytes) -> tuple[bytes, bytes]:
        """What the host says of itself, or of a request that is waited for."""
        request_id = str(next(self._ids)).encode()
        replies: asyncio.Queue[tuple[bytes, bytes]] = asyncio.Queue()
        self._waiting[request_id] = replies
        try:
            await self._send(request_id, HEALTH, waited_for)
            return await within(self._silence_limit_s, replies.get())
        except asyncio.TimeoutError as error:
            raise self._gone() from error
        finally:
            del self._waiting[request_id]

    async def close(self) -> None:
        self._reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reader
        self._socket.close()
        self._context.term()
