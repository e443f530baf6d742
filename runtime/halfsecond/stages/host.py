"""A stage at an address: another process for crash isolation, another machine for its engine."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import structlog
import zmq
import zmq.asyncio

from halfsecond.bus import sockets
from halfsecond.bus.keys import ServerKeys
from halfsecond.errors import ConfigError, HalfsecondError, StageError
from halfsecond.stages import codec
from halfsecond.stages.local import LocalStage
from halfsecond.stages.stage import Cancel, Stage

log = structlog.get_logger(__name__)

MAX_MESSAGE_BYTES = 32 * 1024 * 1024

# [request id, kind, body], both ways. The body of HEALTH is empty, or the id of a request that the
# caller waits for: a host that does not work on it answers with FAILURE.
RUN, CANCEL, HEALTH = b"run", b"cancel", b"health"
REPLY, END, FAILURE = b"reply", b"end", b"failure"


class StageHost:
    """Serves one stage to any number of callers; their requests queue for its one thread."""

    def __init__(self, stage: Stage[Any, Any], address: str, *, keys: ServerKeys | None = None):
        self._stage = stage
        self._local: LocalStage[Any, Any] = LocalStage(stage)
        self._address = address
        self._keys = keys
        self._running: dict[tuple[bytes, bytes], tuple[Cancel, asyncio.Task[None]]] = {}
        self._sending = asyncio.Lock()

    @property
    def local(self) -> LocalStage[Any, Any]:
        """The stage itself, as this process calls it."""
        return self._local

    async def open(self) -> str:
        """Loads the stage, binds, and returns the address that callers connect to."""
        await self._local.open()
        self._context = zmq.asyncio.Context()
        self._socket = sockets.router(self._context, max_message_bytes=MAX_MESSAGE_BYTES)
        if self._keys is not None:
            self._authenticator = self._keys.guard(self._context, self._socket)
        try:
            bound = sockets.bind(self._socket, self._address, has_keys=self._keys is not None)
        except ConfigError:
            await self._release()
            raise
        self._reader = asyncio.create_task(self._read())
        return bound

    async def _read(self) -> None:
        while True:
            frames = await self._socket.recv_multipart()
            if len(frames) != 4:
                continue  # not of this protocol; there is no request to answer
            caller, request_id, kind, body = frames
            if kind == CANCEL:
                if running := self._running.get((caller, request_id)):
                    running[0].set()
            elif kind == HEALTH:
                await self._send(caller, request_id, *await self._health(caller, body))
            elif kind == RUN:
                cancel = Cancel()
                task = asyncio.create_task(self._run(caller, request_id, body, cancel))
                self._running[caller, request_id] = (cancel, task)

    async def _health(self, caller: bytes, waited_for: bytes) -> tuple[bytes, bytes]:
        """Kind and body of the answer to a probe."""
        if waited_for and (caller, waited_for) not in self._running:
            lost = StageError(f"stage {self._stage.name} was started again; the request is lost")
            return FAILURE, codec.encode_error(lost)
        return REPLY, codec.encode(await self._local.health())

    async def _run(self, caller: bytes, request_id: bytes, body: bytes, cancel: Cancel) -> None:
        try:
            request = codec.decode(body, self._stage.request_type)
            async for reply in self._local.run(request, cancel):
                if not await self._send(caller, request_id, REPLY, codec.encode(reply)):
                    cancel.set()  # the caller is gone
            await self._send(caller, request_id, END, b"")
        except HalfsecondError as error:
            log.warning("request failed", stage=self._stage.name, error=str(error))
            await self._send(caller, request_id, FAILURE, codec.encode_error(error))
        except Exception as error:  # the caller waits for an answer, whatever went wrong
            log.error("request failed", stage=self._stage.name, exc_info=error)
            failure = StageError(f"stage {self._stage.name} failed on a request; see its log")
            await self._send(caller, request_id, FAILURE, codec.encode_error(failure))
        finally:
            self._running.pop((caller, request_id), None)

    async def _send(self, caller: bytes, request_id: bytes, kind: bytes, body: bytes) -> bool:
        async with self._sending:
            try:
                await self._socket.send_multipart([caller, request_id, kind, body], copy=False)
            except zmq.ZMQError as error:
                log.info("caller is gone", stage=self._stage.name, error=error.strerror)
                return False
        return True

    async def close(self) -> None:
        self._reader.cancel()
        for cancel, task in list(self._running.values()):
            cancel.set()
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reader
        await self._release()

    async def _release(self) -> None:
        await self._local.close()
        if self._keys is not None:
            self._authenticator.stop()
        self._socket.close()
        self._context.term()
