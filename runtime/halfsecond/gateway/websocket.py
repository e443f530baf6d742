"""The WebSocket: microphone and wishes in, words, sound and pictures out."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Coroutine
from typing import Any

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from halfsecond import wire
from halfsecond.bus.outbox import Outbox
from halfsecond.errors import AccessError, WireError
from halfsecond.gateway.browser import (
    BrowserHello,
    check_sound,
    from_text,
    to_bytes,
    to_text,
)
from halfsecond.gateway.doors import PROTOCOL, Doors
from halfsecond.gateway.limits import Allowance
from halfsecond.gateway.opus import OpusDecoder, OpusEncoder
from halfsecond.gateway.tokens import Bearer
from halfsecond.gateway.visit import Visit, end_visit
from halfsecond.gateway.visits import Visits

log = structlog.get_logger(__name__)

HELLO_LIMIT_S = 5.0
"""A connection that has not said hello by then takes a place for nothing."""
WATCH_S = 0.5
# Close codes of RFC 6455 and its registry.
GOING_AWAY, POLICY, TOO_BIG, TRY_LATER = 1001, 1008, 1009, 1013
EXPIRED = 4001
"""Of our own: the token has expired, or the visit has lasted long enough; connect again."""


class WebSocketDoor:
    """Serves one WebSocket after another; each is a visit."""

    def __init__(self, doors: Doors, visits: Visits) -> None:
        self._doors = doors
        self._visits = visits

    async def serve(self, socket: WebSocket) -> None:
        """One connection, from its handshake to its end."""
        try:
            bearer = self._doors.bearer(socket, "talk")
        except AccessError as error:
            log.info("websocket refused", reason=str(error))
            await socket.close(POLICY, str(error))  # before it is accepted: HTTP 403
            return
        await socket.accept(subprotocol=PROTOCOL)
        with self._visits.place() as is_free:
            if not is_free:
                await socket.send_text(to_text(self._visits.busy()))
                await socket.close(TRY_LATER, "busy")
                return
            await _Connection(socket, bearer, self._visits).run()


class _Connection:
    """One accepted WebSocket."""

    def __init__(self, socket: WebSocket, bearer: Bearer, visits: Visits) -> None:
        self._socket = socket
        self._bearer = bearer
        self._visits = visits
        self._outbox = Outbox()
        self._visit: Visit | None = None
        self._running: asyncio.Task[None] | None = None
        self._decoder: OpusDecoder | None = None
        self._encoder: OpusEncoder | None = None
        self._allowance = Allowance(now=visits.now)
        self._began_s = visits.now()

    async def run(self) -> None:
        """Serves until one side leaves, a limit is reached, or the token expires."""
        tasks = [
            asyncio.create_task(self._read()),
            asyncio.create_task(self._write()),
            asyncio.create_task(self._watch()),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                with contextlib.suppress(WebSocketDisconnect, RuntimeError, OSError):
                    task.result()  # RuntimeError: Starlette's word for a socket that has closed
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._leave()

    async def _leave(self) -> None:
        if self._running is not None:
            await end_visit(self._running)
            self._running = None
        self._visit = None

    async def _close(self, code: int, reason: str) -> None:
        with contextlib.suppress(RuntimeError, OSError):
            await self._socket.close(code, reason)

    async def _watch(self) -> None:
        """Ends what has lasted too long: without hello, with an old token, or at all."""
        while True:
            await asyncio.sleep(WATCH_S)
            age_s = self._visits.now() - self._began_s
            if self._visit is None and age_s > HELLO_LIMIT_S:
                await self._close(POLICY, "say hello first")
                return
            if time.time() > self._bearer.expires_s:
                await self._close(EXPIRED, "the token has expired")
                return
            is_resting = self._visit is None or self._visit.is_resting
            if age_s > self._visits.limit_s and is_resting:
                await self._close(EXPIRED, "the visit has lasted long enough; connect again")
                return

    # In.

    async def _read(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text, sound = message.get("text"), message.get("bytes")
            if not self._allowance.take(len(text or sound or "")):
                await self._close(POLICY, "messages come faster than a visitor can speak")
                return
            try:
                if text is not None:
                    await self._on_text(text)
                elif sound is not None:
                    self._on_sound(check_sound(sound))
            except WireError as error:
                self._outbox.put(wire.Error(code="bad_message", message=str(error)))
                if self._allowance.is_faulty():
                    await self._close(POLICY, "too many messages that break the protocol")
                    return

    async def _on_text(self, text: str) -> None:
        message = from_text(text)
        if isinstance(message, BrowserHello):
            await self._open(message)
        elif isinstance(message, wire.Bye):
            await self._leave()
        elif self._visit is None:
            raise WireError("say hello first")
        else:
            await self._visit.act(message)

    async def _open(self, hello: BrowserHello) -> None:
        """Begins a session; a second hello ends the one that was, and all that it remembers."""
        if reason := refusal_of(hello):
            raise WireError(reason)
        await self._leave()
        is_opus = hello.sound == "opus"
        self._decoder = OpusDecoder() if is_opus else None
        self._encoder = OpusEncoder() if is_opus else None
        self._outbox.credit = min(hello.credit, 1000)
        self._visit = self._visits.visit(hello, self._outbox)
        self._running = asyncio.create_task(self._visit.run())

    def _on_sound(self, sound: bytes) -> None:
        if self._visit is None:
            raise WireError("say hello first")
        pcm = self._decoder.decode(sound) if self._decoder is not None else sound
        if pcm:
            self._visit.hear(pcm)

    # Out.

    async def _write(self) -> None:
        """Sends what waits, sound and words first. A browser that takes nothing is let go."""
        while True:
            header, payload = await self._outbox.next()
            for message, content in self._coded(header, payload):
                sending = self._send(message, content)
                try:
                    await asyncio.wait_for(sending, self._visits.stall_limit_s)
                except asyncio.TimeoutError:
                    await self._close(TRY_LATER, "the browser takes nothing")
                    return

    def _coded(self, header: wire.Header, payload: bytes) -> list[tuple[wire.Header, bytes]]:
        """Sound in the form that was asked for: a message of PCM is several of Opus, or none."""
        if self._encoder is None:
            return [(header, payload)]
        if isinstance(header, wire.Audio):
            return list(self._encoder.encode(header, payload))
        if isinstance(header, wire.TurnEnd):
            return [*self._encoder.flush(), (header, payload)]
        return [(header, payload)]

    def _send(self, header: wire.Header, payload: bytes) -> Coroutine[Any, Any, None]:
        if isinstance(header, wire.Audio | wire.Video):
            return self._socket.send_bytes(to_bytes(header, payload))
        return self._socket.send_text(to_text(header))


def refusal_of(hello: BrowserHello) -> str | None:
    """Why a browser's wishes cannot be met; None if they can."""
    if hello.v != wire.PROTOCOL:
        return f"protocol {hello.v} is not spoken here; this is {wire.PROTOCOL}: load the page anew"
    if hello.video == "rgb":
        return "raw pictures are not sent to browsers; ask for jpeg or none"
    if hello.sound == "opus" and (hello.audio_rate_hz, hello.audio_channels) != (48_000, 1):
        return "opus comes at 48000 Hz in one channel"
    return None
