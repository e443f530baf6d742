"""One browser's visit: a session with the server, opened again whenever the server comes back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import msgspec
import structlog
import zmq

from halfsecond import wire
from halfsecond.bus.outbox import Outbox
from halfsecond.client import Client, Disconnected
from halfsecond.deadline import within
from halfsecond.errors import ServerError
from halfsecond.gateway.browser import BrowserMessage, BrowserWelcome, Figures, ServerAway
from halfsecond.gateway.turn_log import TurnLog
from halfsecond.gateway.upload_desk import UploadDesk
from halfsecond.timeline import Now, monotonic

log = structlog.get_logger(__name__)

RETRY_S = 0.5
"""Between two tries to reach a server that is away; its start takes some seconds."""
END_S = 2.0
UPLOAD_LIMIT_S = 120.0
"""Files of other visitors come first; a server says sooner that one takes too long."""
MAX_WAITING_BLOCKS = 100
"""Microphone blocks that wait for the server: 2 s of 20 ms. Older sound answers nobody."""

OpenClient = Callable[[wire.Hello], Client]
"""A client of the server, not yet open, whose session has these wishes."""


class Visit:
    """Carries what a browser says to the server, and fills `outbox` with what comes back.

    Run `run`; it ends when it is cancelled. The order of messages is kept; pictures are the
    outbox's to drop.
    """

    def __init__(
        self,
        hello: wire.Hello,
        outbox: Outbox,
        *,
        open_client: OpenClient,
        turns: TurnLog,
        desk: UploadDesk,
        now: Now = monotonic,
    ) -> None:
        self._hello = hello
        self._outbox = outbox
        self._open_client = open_client
        self._turns = turns
        self._desk = desk
        self._ticket = ""
        self._uploaded: asyncio.Future[wire.Uploaded] | None = None
        """What the server will say of the file that was passed on."""
        self._now = now
        self._client: Client | None = None
        self._microphone: asyncio.Queue[bytes] = asyncio.Queue(MAX_WAITING_BLOCKS)
        self.is_resting = True
        """Whether nobody speaks and nothing is answered."""

    async def run(self) -> None:
        """Opens the session, and passes on what the server says, until cancelled."""
        while True:
            client = self._open_client(self._hello)
            try:
                await client.open()
            except ServerError as error:
                self._outbox.put(ServerAway(reason=str(error)))
                await asyncio.sleep(RETRY_S)
                continue
            self._client = client
            try:
                await self._converse(client)
            finally:
                self._client = None
                self._give_up_upload("the visitor has left")
                self._desk.withdraw(self._ticket)
                await asyncio.shield(client.close())

    async def _converse(self, client: Client) -> None:
        assert client.welcome is not None
        self._begin(client.welcome)
        sending = asyncio.create_task(self._send_microphone(client))
        try:
            async for event in client.events():
                if isinstance(event, Disconnected):
                    self._give_up_upload(event.reason)
                    self._outbox.put(ServerAway(reason=event.reason))
                    continue
                if isinstance(event.message, wire.Welcome):
                    self._begin(event.message)
                    continue
                self._note(event.message)
                self._outbox.put(event.message, event.payload)
        finally:
            sending.cancel()

    def _begin(self, welcome: wire.Welcome) -> None:
        """A new session begins its generations anew."""
        self._outbox.restart()
        self.is_resting = True
        self._give_up_upload("the session that it was for is over")
        self._desk.withdraw(self._ticket)
        self._ticket = self._desk.admit(self) if welcome.uploads else ""
        fields = msgspec.structs.asdict(welcome)
        self._outbox.put(BrowserWelcome(**fields, upload=self._ticket))

    def _note(self, message: wire.ServerMessage) -> None:
        if isinstance(message, wire.StateChange):
            self.is_resting = message.state == "idle"
        elif isinstance(message, wire.Uploaded) and self._uploaded and not self._uploaded.done():
            self._uploaded.set_result(message)
        self._turns.note(message)

    async def _send_microphone(self, client: Client) -> None:
        """On its own: a send waits while no server is there."""
        while True:
            await client.send_audio(await self._microphone.get())

    def hear(self, pcm: bytes) -> None:
        """Takes a block of the microphone; while the server is away the oldest blocks are lost."""
        if self._client is None:
            return
        if self._microphone.full():
            self._microphone.get_nowait()
        self._microphone.put_nowait(pcm)

    async def act(self, message: BrowserMessage) -> None:
        """Does what the browser asks; what the server cannot be told now is lost."""
        if isinstance(message, wire.Credit):
            self._outbox.grant(message.frames)
        elif isinstance(message, Figures):
            self._turns.note_figures(message)
        elif isinstance(message, wire.Clock):
            self._outbox.put(self._clock(message))
        elif self._client is None:
            if isinstance(message, wire.Text | wire.Greet):
                told = "wait for the welcome; there is no session yet"
                self._outbox.put(wire.Error(code="not_open_yet", message=told))
        else:
            with contextlib.suppress(zmq.ZMQError, asyncio.TimeoutError):
                await asyncio.wait_for(_ask(self._client, message), RETRY_S)

    async def upload(self, kind: wire.UploadKind, data: bytes, *, consent: str) -> wire.Uploaded:
        """Passes a visitor's file on; see `Uploader`. One at a time."""
        if self._client is None:
            raise ServerError("there is no session; wait for the welcome")
        self._uploaded = asyncio.get_running_loop().create_future()
        try:
            await self._client.upload(kind, data, consent=consent)
            return await within(UPLOAD_LIMIT_S, self._uploaded)
        except (asyncio.TimeoutError, zmq.ZMQError) as error:
            raise ServerError("the server says nothing of the file") from error
        finally:
            self._uploaded = None

    def _give_up_upload(self, reason: str) -> None:
        if self._uploaded is not None and not self._uploaded.done():
            self._uploaded.set_exception(ServerError(reason))

    def _clock(self, message: wire.Clock) -> wire.Clock:
        """The server's time, as far as the gateway knows it."""
        offset_s = self._client.clock_offset_s if self._client is not None else 0.0
        at_s = self._now() + offset_s
        return wire.Clock(client_s=message.client_s, received_s=at_s, sent_s=at_s)


async def end_visit(running: asyncio.Task[None]) -> None:
    """Cancels a visit's `run` and waits for its end.

    Before Python 3.12 `asyncio.wait_for` may swallow a cancellation that comes as it succeeds, so
    one that was not heard is said again; the pause is longer than a client takes to say goodbye.
    """
    while not running.done():
        running.cancel()
        await asyncio.wait({running}, timeout=END_S)


async def _ask(client: Client, message: BrowserMessage) -> None:
    doing: Awaitable[None] | None = None
    if isinstance(message, wire.Text):
        doing = client.ask(message.text)
    elif isinstance(message, wire.Greet):
        doing = client.greet()
    elif isinstance(message, wire.Interrupt):
        doing = client.interrupt()
    elif isinstance(message, wire.Playhead):
        at_s = None if message.at_s is None else message.at_s - client.clock_offset_s
        doing = client.report_playhead(
            turn=message.turn,
            pts_s=message.pts,
            at_s=at_s,
            offset_s=message.offset_s,
            dropped=message.dropped,
        )
    elif isinstance(message, wire.EndOfAudio):
        doing = client.end_audio()
    if doing is not None:
        await doing
