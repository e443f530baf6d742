"""The client for programs without an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from halfsecond import wire
from halfsecond.bus.keys import ClientKeys
from halfsecond.client import Client
from halfsecond.conversation import Question
from halfsecond.errors import ServerError
from halfsecond.recording import Reply

T = TypeVar("T")


class BlockingClient:
    """One session with a server, as `Client`, whose calls wait until they are done.

        with BlockingClient("ipc:///tmp/halfsecond/server.ipc") as client:
            reply = client.reply("When do you close?")

    The session lives on a thread of its own between the calls, so that it stays open and the server
    remembers what was said.
    """

    def __init__(
        self,
        address: str,
        *,
        hello: wire.Hello | None = None,
        keys: ClientKeys | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        self._client = Client(address, hello=hello, keys=keys, timeout_s=timeout_s)
        self._loop: asyncio.AbstractEventLoop | None = None

    def __enter__(self) -> BlockingClient:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> wire.Welcome:
        """Connects and opens the session.

        Raises:
            ServerError: no server answers, it is busy, or it refuses.
        """
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="halfsecond client", daemon=True
        )
        self._thread.start()
        try:
            return self._wait_for(self._client.open())
        except BaseException:
            self._stop()
            raise

    def reply(self, question: Question, *, timeout_s: float = 60.0) -> Reply:
        """The whole answer to a question; see `Client.reply`."""
        return self._wait_for(self._client.reply(question, timeout_s=timeout_s))

    def close(self) -> None:
        """Says goodbye; once is enough."""
        if self._loop is None:
            return
        with contextlib.suppress(ServerError):
            self._wait_for(self._client.close())
        self._stop()

    def _wait_for(self, coroutine: Coroutine[Any, Any, T]) -> T:
        if self._loop is None:
            coroutine.close()
            raise ServerError("the client is not open; use it in a `with` statement")
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:  # Ctrl-C leaves no question behind on the thread
            future.cancel()
            raise

    def _stop(self) -> None:
        if self._loop is None:
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = None
