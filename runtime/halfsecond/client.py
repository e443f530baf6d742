"""The Python client: audio or text in, words, sound and pictures out, over the ZeroMQ wire."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import zmq
import zmq.asyncio

from halfsecond import wire
from halfsecond.bus import sockets
from halfsecond.bus.keys import ClientKeys
from halfsecond.deadline import within
from halfsecond.errors import ConfigError, ServerError, WireError
from halfsecond.timeline import Now, monotonic

if TYPE_CHECKING:
    from halfsecond.conversation import Question
    from halfsecond.recording import Reply

MAX_MESSAGE_BYTES = 8 * 1024 * 1024
CLOCK_INTERVAL_S = 1.0
KEPT_EXCHANGES = 32
"""Of clocks, one a second: two quartzes that are 50 ppm apart differ by 1.6 ms in that time."""
SILENCE_LIMIT_S = 4.0
"""Without any message for this long (not even `clock`) the server is taken for gone."""
HELLO_AGAIN_S = 3.0
"""A hello that was not answered for this long is said again; sooner would open twice."""


@dataclass(frozen=True)
class Received:
    """A message from the server, its payload, and when it came (client's clock)."""

    message: wire.ServerMessage
    payload: bytes
    at_s: float


@dataclass(frozen=True)
class Disconnected:
    """The server is gone; the client goes on trying, and a new session begins when it is back."""

    reason: str


Event = Received | Disconnected


class Client:
    """One session with a server, opened again by itself when the server comes back.

        async with Client("ipc:///tmp/halfsecond/server.ipc") as client:
            reply = await client.reply("When do you close?")

    `reply` is for programs that want whole answers. A program that plays them asks with `ask` or
    `send_audio` and reads `events`, which come as they are made.

    hello: the session's wishes; its `credit` is the number of pictures that may be under way.
        Pictures are granted again as `events` hands them out, so a program that is slow to take
        events loses old pictures, never audio.
    """

    def __init__(
        self,
        address: str,
        *,
        hello: wire.Hello | None = None,
        keys: ClientKeys | None = None,
        timeout_s: float = 10.0,
        now: Now = monotonic,
    ) -> None:
        self._address = address
        self._hello = hello or wire.Hello(client="halfsecond python")
        self._keys = keys
        self._timeout_s = timeout_s
        self._now = now
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._audio_seq = 0
        self._heard_s = 0.0
        self._hello_s = float("-inf")
        self._exchanges: deque[tuple[float, float]] = deque(maxlen=KEPT_EXCHANGES)
        """(round trip, offset of the server's clock) of the newest ones."""
        self._generation = 0
        self._owed_pictures = 0
        self._is_owing = asyncio.Event()
        self.grants_credit = True
        """Whether a picture's credit is granted again when `events` hands it out."""
        self.stale_count = 0
        """Sound and pictures that came after a message of a higher generation, and were dropped."""
        self.latest_turn = 0
        """The highest turn of the session that anything was heard of."""
        self.welcome: wire.Welcome | None = None
        self.clock_offset_s = 0.0
        """Server clock minus client clock, from the quickest exchange of the last half minute."""

    async def __aenter__(self) -> Client:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> wire.Welcome:
        """Connects and opens the session.

        Raises:
            ServerError: no server answers, it is busy, or it refuses.
        """
        try:
            sockets.check_address(self._address)
        except ConfigError as error:
            raise ServerError(str(error)) from error
        self._context = zmq.asyncio.Context()
        self._socket = sockets.dealer(self._context, max_message_bytes=MAX_MESSAGE_BYTES)
        if self._keys is not None:
            self._keys.apply(self._socket)
        self._socket.connect(self._address)
        try:
            self.welcome = await within(self._timeout_s, self._greet())
        except asyncio.TimeoutError as error:
            await self._close_socket()
            raise ServerError(self._unanswered()) from error
        except asyncio.CancelledError:
            with contextlib.suppress(zmq.ZMQError):  # the server may have opened a session by now
                await self._socket.send_multipart(wire.encode(wire.Bye()), flags=zmq.NOBLOCK)
                await asyncio.sleep(0.02)
            await self._close_socket()
            raise
        except ServerError:
            await self._close_socket()
            raise
        self._tasks = [
            asyncio.create_task(self._read()),
            asyncio.create_task(self._keep_alive()),
            asyncio.create_task(self._grant()),
        ]
        return self.welcome

    async def _greet(self) -> wire.Welcome:
        await self._say_hello()
        while True:
            message, _ = await self._receive()
            self._heard_s = self._now()
            if isinstance(message, wire.Welcome):
                self._hello_s = float("-inf")
                return message
            if isinstance(message, wire.Busy):
                raise ServerError(
                    f"the server is busy: {message.sessions} of {message.limit} sessions are open"
                )
            if isinstance(message, wire.Error):
                raise ServerError(f"the server refused: {message.message}")

    async def _say_hello(self) -> None:
        """Asks for a session, unless that was done a moment ago."""
        if self._now() - self._hello_s > HELLO_AGAIN_S:
            self._hello_s = self._now()
            await self._send(self._hello)

    def _unanswered(self) -> str:
        message = f"no server answers at {self._address}; start one with `halfsecond serve`"
        if self._keys is not None:
            return f"{message}, or if one runs there, let it admit this key and start it again"
        if not self._address.startswith("ipc://"):
            return f"{message}, or if one runs there, give the keys that it wants (--keys)"
        return message

    async def close(self) -> None:
        """Says goodbye and closes the socket."""
        await self._stop()  # first: a late answer to `clock` must not say hello again
        with contextlib.suppress(zmq.ZMQError, asyncio.TimeoutError):
            await within(0.5, self._send(wire.Bye()))
            await asyncio.sleep(0.02)  # LINGER is 0: gives the I/O thread the time to send it
        await self._close_socket()

    async def vanish(self) -> None:
        """Closes the socket without a word, as a crash would."""
        await self._stop()
        await self._close_socket()

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _close_socket(self) -> None:
        self._socket.close()
        self._context.term()

    # What a visitor does.

    async def send_audio(self, pcm: bytes) -> None:
        """Microphone audio: PCM s16le at the rate and channels of `hello`, at real-time pace."""
        header = wire.Audio(seq=self._audio_seq)
        self._audio_seq += 1
        await self._send(header, pcm)

    async def end_audio(self) -> None:
        """Nothing more will be said: answer at once."""
        await self._send(wire.EndOfAudio())

    async def ask(self, text: str) -> None:
        """A typed question."""
        await self._send(wire.Text(text=text))

    async def reply(self, question: Question, *, timeout_s: float = 60.0) -> Reply:
        """The whole answer to a question: its words, its sound and its pictures.

        question: a text, the path of a recording, or (n,) mono 16 kHz speech, which is spoken at
            real-time pace. The events are read meanwhile: not for programs that read `events`.

        Raises:
            AudioError: there is no speech in the recording.
            ServerError: the turn failed, no answer ended in time, or the server is gone.
        """
        from halfsecond.conversation import reply_to  # which wants `Client` itself

        return await reply_to(self, question, timeout_s=timeout_s)

    async def greet(self) -> None:
        """Has the server speak its greeting."""
        await self._send(wire.Greet())

    async def interrupt(self) -> None:
        """Stops the answer."""
        await self._send(wire.Interrupt())

    async def upload(self, kind: wire.UploadKind, data: bytes, *, consent: str = "") -> None:
        """Brings a photo or a recording for this session; `wire.Uploaded` says what became of it.

        data: the bytes of the file. consent: of a voice: who agreed that it is spoken with, and
            when.
        """
        for seq, start in enumerate(range(0, len(data), wire.MAX_PAYLOAD_BYTES)):
            piece = wire.Upload(kind=kind, size=len(data), consent=consent, seq=seq)
            await self._send(piece, data[start : start + wire.MAX_PAYLOAD_BYTES])

    async def grant(self, frames: int) -> None:
        """Asks for so many further pictures, where `grants_credit` is False."""
        await self._send(wire.Credit(frames=frames))

    async def report_playhead(
        self,
        *,
        turn: int,
        pts_s: float,
        at_s: float | None = None,
        offset_s: float | None = None,
        dropped: int = 0,
    ) -> None:
        """Tells how much of the answer was heard, so that history keeps no more than that.

        at_s: when, on this client's clock; None: now.
        offset_s: how far the sound was beyond `pts` of the newest picture when that appeared, for
            the server's figures of lips and sound.
        dropped: late pictures of the turn that were dropped so far.
        """
        if at_s is not None:
            at_s = at_s + self.clock_offset_s if self._exchanges else None
        await self._send(
            wire.Playhead(turn=turn, pts=pts_s, at_s=at_s, offset_s=offset_s, dropped=dropped)
        )

    async def _send(self, header: wire.Header, payload: bytes = b"") -> None:
        await self._socket.send_multipart(wire.encode(header, payload))

    # What comes back.

    async def events(self) -> AsyncIterator[Event]:
        """Everything the server says, in order; grants the credit of each picture taken.

        Sound and pictures of an answer that was cut off while they waited here are left out.
        """
        while True:
            event = await self._events.get()
            if isinstance(event, Received):
                self._owe(event.message)
                if self._is_void(event.message):
                    continue
            yield event

    def _is_void(self, message: wire.ServerMessage) -> bool:
        """Sound or a picture of an answer that was cut off, or of an earlier session."""
        if not isinstance(message, wire.Audio | wire.Video):
            return False
        return message.generation < self._generation or not self._is_current(message)

    def _is_current(self, message: wire.ServerMessage) -> bool:
        return self.welcome is None or message.session in ("", self.welcome.session)

    def _owe(self, message: wire.ServerMessage) -> None:
        """Notes that a picture was taken; an earlier session has no use for credit."""
        if self.grants_credit and isinstance(message, wire.Video) and self._is_current(message):
            self._owed_pictures += 1
            self._is_owing.set()

    async def _grant(self) -> None:
        """Grants what is owed. On its own, for a send waits while no server is there."""
        while True:
            await self._is_owing.wait()
            self._is_owing.clear()
            frames, self._owed_pictures = self._owed_pictures, 0
            if frames:
                with contextlib.suppress(zmq.ZMQError):
                    await self._send(wire.Credit(frames=frames))

    async def _receive(self) -> tuple[wire.ServerMessage, bytes]:
        """The next message of those that are known here; a later server may send others."""
        while True:
            frames = await self._socket.recv_multipart()
            with contextlib.suppress(WireError):
                return wire.decode_from_server(frames)

    async def _read(self) -> None:
        while True:
            message, payload = await self._receive()
            at_s = self._heard_s = self._now()
            if isinstance(message, wire.Clock):
                self._on_clock(message, at_s)
                if not message.session:
                    await self._say_hello()  # the server has forgotten this session
                continue
            if isinstance(message, wire.Welcome):
                self.welcome, self._generation, self._owed_pictures = message, 0, 0
                self.latest_turn = 0
                self._hello_s = float("-inf")
                self._exchanges.clear()  # another server may have another clock
            if isinstance(message, wire.Error) and message.code == "no_session":
                await self._say_hello()
                continue
            self._generation = max(self._generation, message.generation)
            self.latest_turn = max(self.latest_turn, message.turn)
            if self._is_void(message):
                self.stale_count += self._is_current(message)
                self._owe(message)
                continue
            self._events.put_nowait(Received(message, payload, at_s))

    def _on_clock(self, message: wire.Clock, at_s: float) -> None:
        """Cristian's algorithm: the quickest exchange has the least uncertain offset.

        Of the newest ones: over days two clocks part, and the quickest of all grows wrong.
        """
        round_trip_s = at_s - message.client_s - (message.sent_s - message.received_s)
        middle_s = (message.client_s + at_s) / 2
        offset_s = (message.received_s + message.sent_s) / 2 - middle_s
        self._exchanges.append((round_trip_s, offset_s))
        self.clock_offset_s = min(self._exchanges)[1]

    async def _keep_alive(self) -> None:
        is_gone = False
        while True:
            with contextlib.suppress(zmq.ZMQError, asyncio.TimeoutError):
                clock = wire.Clock(client_s=self._now())
                await within(CLOCK_INTERVAL_S, self._send(clock))
            await asyncio.sleep(CLOCK_INTERVAL_S)
            is_silent = self._now() - self._heard_s > SILENCE_LIMIT_S
            if is_silent and not is_gone:
                self._events.put_nowait(Disconnected("the server does not answer"))
            is_gone = is_silent
