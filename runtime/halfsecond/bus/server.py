"""The server: one ROUTER socket, a session per client, limits on everything."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import secrets
from typing import Any

import structlog
import zmq
import zmq.asyncio

from halfsecond import __version__, wire
from halfsecond.bus import sockets
from halfsecond.bus.connection import Connection, refusal
from halfsecond.bus.keys import ServerKeys
from halfsecond.bus.outbox import Outbox
from halfsecond.config import Config
from halfsecond.errors import ConfigError, HalfsecondError, WireError
from halfsecond.metrics import METRICS
from halfsecond.models.echo.registry import open_canceller
from halfsecond.models.llm.persona import Persona
from halfsecond.stages.engines import Engines
from halfsecond.stages.phrases import Phrases
from halfsecond.stages.session import Session
from halfsecond.timeline import Now, monotonic
from halfsecond.uploads.intake import taken_kinds
from halfsecond.uploads.workshop import Workshop

log = structlog.get_logger(__name__)

RETRY_S = 0.005
"""Pause before a send is tried again to a client whose queue is full."""
SWEEP_S = 0.5
FREE_AFTER_S = 1.0
"""After a session's end: its last tasks are over by then."""


class Server:
    """Answers clients at one address. `open`, then `serve` until it is cancelled, then `close`."""

    def __init__(
        self,
        config: Config,
        engines: Engines,
        persona: Persona,
        *,
        keys: ServerKeys | None = None,
        workshop: Workshop | None = None,
        now: Now = monotonic,
    ) -> None:
        """workshop: where visitors' files are looked at; None where none are taken."""
        self._config = config
        self._engines = engines
        self._persona = persona
        self._phrases = Phrases(config.phrases)
        self._keys = keys
        self._workshop = workshop
        self._now = now
        self._clients: dict[bytes, Connection] = {}
        self._opening: set[bytes] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._names = itertools.count(1)
        self._salt = secrets.token_hex(3)
        self._is_closing = False

    @property
    def session_count(self) -> int:
        """How many clients have a session."""
        return len(self._clients)

    async def open(self, address: str) -> str:
        """Opens the engines, binds, and returns the address that clients connect to.

        Raises:
            ConfigError: it cannot listen there; the engines are closed again. Or the canceller of
                `[echo]` is not installed.
            HalfsecondError: an engine could not be opened.
        """
        # Now, for it takes a moment, and every session will want one of its own.
        echo = await asyncio.to_thread(open_canceller, self._config.echo.kind)
        log.info("echo cancellation", canceller=echo.name)
        await self._engines.open()
        self._context = zmq.asyncio.Context()
        self._socket = sockets.router(
            self._context, max_message_bytes=wire.MAX_PAYLOAD_BYTES + wire.MAX_HEADER_BYTES
        )
        if self._keys is not None:
            self._authenticator = self._keys.guard(self._context, self._socket)
        try:
            return sockets.bind(self._socket, address, has_keys=self._keys is not None)
        except ConfigError:
            await self.close()
            raise

    async def serve(self) -> None:
        """Reads messages until cancelled."""
        sweeper = asyncio.create_task(self._sweep())
        self._spawn(self._phrases.render(self._engines.tts, speed=self._config.tts.speed))
        try:
            while True:
                identity, *frames = await self._socket.recv_multipart()
                if self._is_closing:  # nobody is let in who would find the engines closed
                    continue
                try:
                    self._on_message(identity, frames)
                except WireError as error:
                    METRICS.rejected_messages.inc()
                    await self._reply(identity, self._error(identity, "bad_message", str(error)))
                except Exception as error:  # one client's message must not end the others' answers
                    log.error("message failed", exc_info=error)
                    message = "the server failed on this message; see its log"
                    await self._reply(identity, self._error(identity, "internal", message))
        finally:
            sweeper.cancel()

    async def close(self) -> None:
        """Says goodbye to every client, and closes sockets and engines; once is enough."""
        if self._is_closing:
            return
        self._is_closing = True
        while self._clients:  # one that was being opened may come in meanwhile
            client = next(iter(self._clients.values()))
            await self._reply(client.identity, wire.Bye(reason="the server stops"))
            await self._drop(client, "the server stops")
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._keys is not None:
            self._authenticator.stop()
        self._socket.close()
        self._context.term()
        await self._engines.close()

    # Messages.

    def _on_message(self, identity: bytes, frames: list[bytes]) -> None:
        message, payload = wire.decode_from_client(frames)
        if isinstance(message, wire.Hello):
            self._on_hello(identity, message)
            return
        if isinstance(message, wire.Clock):
            self._on_clock(identity, message)
            return
        client = self._clients.get(identity)
        if client is None:
            self._turn_away(identity, message)
            return
        client.heard_s = self._now()
        if isinstance(message, wire.Bye):
            self._spawn(self._drop(client, "the client left"))
        else:
            client.act(message, payload)

    def _turn_away(self, identity: bytes, message: wire.ClientMessage) -> None:
        """Answers what came without a session.

        While one is being opened a microphone and a player may run on; nobody misses what they say.
        """
        if identity not in self._opening:
            error = wire.Error(code="no_session", message="say hello first", is_fatal=True)
        elif not isinstance(message, wire.Audio | wire.Credit | wire.Playhead):
            error = wire.Error(code="not_open_yet", message="wait for the welcome")
        else:
            return
        self._spawn(self._reply(identity, error))

    def _on_clock(self, identity: bytes, message: wire.Clock) -> None:
        received_s = self._now()
        session = ""
        if client := self._clients.get(identity):
            client.heard_s = received_s
            session = client.session.name
        reply = wire.Clock(
            session=session,
            client_s=message.client_s,
            received_s=received_s,
            sent_s=self._now(),
        )
        self._spawn(self._reply(identity, reply))

    def _on_hello(self, identity: bytes, hello: wire.Hello) -> None:
        if reason := refusal(hello):
            METRICS.rejected_messages.inc()
            is_fatal = identity not in self._clients
            error = self._error(identity, *reason, is_fatal=is_fatal)
            self._spawn(self._reply(identity, error))
            return
        if identity in self._opening:
            return
        is_known = identity in self._clients
        busy = len(self._clients) + len(self._opening)
        limit = self._config.server.max_sessions
        if not is_known and busy >= limit:
            self._spawn(self._reply(identity, wire.Busy(sessions=busy, limit=limit)))
            return
        self._opening.add(identity)
        self._spawn(self._open_session(identity, hello))

    async def _open_session(self, identity: bytes, hello: wire.Hello) -> None:
        try:
            if previous := self._clients.get(identity):
                await self._drop(previous, "the client said hello again")
            outbox = Outbox(credit=max(0, min(hello.credit, 1000)))
            session = Session(
                hello,
                name=f"{self._salt}-{next(self._names)}",
                config=self._config,
                engines=self._engines,
                persona=self._persona,
                phrases=self._phrases,
                outbox=outbox,
                workshop=self._workshop,
                now=self._now,
            )
            client = Connection(identity, hello, session, outbox, heard_s=self._now())
            try:
                await session.prepare()
                outbox.put(self._welcome(hello, session))
                session.start()
            except BaseException as error:
                await session.close()
                if not isinstance(error, HalfsecondError):
                    raise
                message = wire.Error(code="cannot_open", message=str(error), is_fatal=True)
                await self._reply(identity, message)
                return
            self._clients[identity] = client
            client.sender = self._spawn(self._send_all(client))
            METRICS.sessions.set(len(self._clients))
            log.info("session opened", session=session.name, client=hello.client)
        finally:
            self._opening.discard(identity)

    def _welcome(self, hello: wire.Hello, session: Session) -> wire.Welcome:
        face, shown = self._config.face, session.shown
        return wire.Welcome(
            session=session.name,
            server=f"halfsecond {__version__}",
            fps=shown.fps if shown and shown.fps else hello.fps or face.fps,
            width=shown.width if shown else face.width,
            height=shown.height if shown else face.height,
            avatar=shown.avatar if shown else "",
            video=hello.video,
            language=hello.language or self._config.language,
            voice=self._config.tts.label,
            questions=self._phrases.questions,
            uploads=list(taken_kinds(self._config.uploads)) if self._workshop else [],
            timeout_s=self._config.server.session_timeout_s,
        )

    # Sending.

    async def _send_all(self, client: Connection) -> None:
        while True:
            header, payload = await client.outbox.next()
            if not await self._send(client, wire.encode(header, payload)):
                self._spawn(self._drop(client, "the client takes nothing, or is gone"))
                return
            if isinstance(header, wire.Video):
                client.session.picture_sent(header)

    async def _send(self, client: Connection, frames: list[Any]) -> bool:
        """Sends to one client, waiting while its queue is full; False when it is given up."""
        give_up_s = self._now() + self._config.server.stall_timeout_s
        while True:
            try:
                await self._socket.send_multipart(
                    [client.identity, *frames], flags=zmq.NOBLOCK, copy=False
                )
            except zmq.Again:
                if self._now() > give_up_s or client.outbox.is_overfull:
                    return False
                await asyncio.sleep(RETRY_S)
            except zmq.ZMQError:
                return False
            else:
                return True

    def _error(
        self, identity: bytes, code: str, message: str, *, is_fatal: bool = False
    ) -> wire.Error:
        client = self._clients.get(identity)
        session = client.session.name if client else ""
        return wire.Error(session=session, code=code, message=message, is_fatal=is_fatal)

    async def _reply(self, identity: bytes, message: wire.Header) -> None:
        """Sends one message outside any session; a client that is gone misses it."""
        with contextlib.suppress(zmq.ZMQError):
            await self._socket.send_multipart(
                [identity, *wire.encode(message)], flags=zmq.NOBLOCK, copy=False
            )

    # Ends.

    async def _sweep(self) -> None:
        """Ends the sessions of clients that have gone silent."""
        limit_s = self._config.server.session_timeout_s
        while True:
            await asyncio.sleep(SWEEP_S)
            for client in list(self._clients.values()):
                if self._now() - client.heard_s > limit_s:
                    reason = f"nothing was heard from the client for {limit_s:g} s"
                    await self._reply(client.identity, wire.Bye(reason=reason))
                    # On its own: one that takes long, or fails, keeps no other session open.
                    self._spawn(self._drop(client, reason))

    async def _drop(self, client: Connection, reason: str) -> None:
        if self._clients.get(client.identity) is not client:
            return
        del self._clients[client.identity]
        METRICS.sessions.set(len(self._clients))
        METRICS.dropped_pictures.inc(client.outbox.dropped_pictures)
        log.info("session closed", session=client.session.name, reason=reason)
        if client.sender is not None:
            client.sender.cancel()
        await client.session.close()
        if not self._clients:
            await client.session.forget()
        # A session is full of cycles, and holds megabytes that Python does not count: left to
        # itself the collector comes for it hundreds of turns later.
        asyncio.get_running_loop().call_later(FREE_AFTER_S, gc.collect)

    def _spawn(self, coroutine: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("server task failed", exc_info=error)
