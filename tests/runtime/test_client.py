"""The client against a server that a test plays: what it drops, grants and tells."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest
import zmq
import zmq.asyncio

from halfsecond import wire
from halfsecond.bus import sockets
from halfsecond.client import Client, Disconnected, Event, Received

T = TypeVar("T")


class PlayedServer:
    """A ROUTER that says what the test tells it to."""

    def __init__(self, address: str) -> None:
        self._context = zmq.asyncio.Context()
        self._socket = sockets.router(self._context, max_message_bytes=1 << 20)
        self._address = address
        sockets.bind(self._socket, address, has_keys=False)
        self._client = b""
        self.session = ""

    async def welcome(self, session: str) -> None:
        """Answers the next hello."""
        await self.receive(wire.Hello)
        self.session = session
        await self.say(wire.Welcome())

    async def receive(self, kind: type[T]) -> T:
        """The next message of that kind; others are passed over."""
        while True:
            self._client, *frames = await asyncio.wait_for(self._socket.recv_multipart(), 5)
            message, _ = wire.decode_from_client(frames)
            if isinstance(message, wire.Clock):
                await self.say(message)
            if isinstance(message, kind):
                return message

    async def granted(self, *, within_s: float) -> int:
        """Pictures that the client grants in this time."""
        total = 0

        async def count() -> None:
            nonlocal total
            while True:
                total += (await self.receive(wire.Credit)).frames

        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(count(), within_s)
        return total

    async def say(self, message: wire.Header, payload: bytes = b"") -> None:
        named = {**{f: getattr(message, f) for f in message.__struct_fields__}}
        named["session"] = self.session
        frames = wire.encode(type(message)(**named), payload)
        await self._socket.send_multipart([self._client, *frames])

    def close(self) -> None:
        self._socket.close()
        self._context.term()


@asynccontextmanager
async def conversing(folder: Path) -> AsyncIterator[tuple[PlayedServer, Client]]:
    address = f"ipc://{folder}/played.ipc"
    server = PlayedServer(address)
    client = Client(address, timeout_s=5)
    try:
        await asyncio.gather(server.welcome("first"), client.open())
        yield server, client
    finally:
        await client.vanish()
        server.close()


async def take(client: Client, is_last: Callable[[Event], bool]) -> list[Event]:
    """The events up to the one that `is_last` accepts."""
    taken: list[Event] = []

    async def read() -> None:
        async for event in client.events():
            taken.append(event)
            if is_last(event):
                return

    await asyncio.wait_for(read(), 8)
    return taken


def picture(generation: int) -> wire.Video:
    return wire.Video(turn=1, generation=generation, width=8, height=8, is_driven=True)


async def test_sound_that_waits_when_the_answer_is_cut_off_is_not_handed_out(
    tmp_path: Path,
) -> None:
    async with conversing(tmp_path) as (server, client):
        for seq in range(3):
            await server.say(wire.Audio(turn=1, generation=1, seq=seq), b"\0\0")
        await server.say(picture(1), b"jpeg")
        await server.say(wire.TurnEnd(turn=1, generation=2, reason="interrupted"))
        await asyncio.sleep(0.2)  # a player that is slow to take what has come
        taken = await take(client, lambda e: isinstance(e, Received) and is_end(e))
        assert [type(e.message) for e in taken if isinstance(e, Received)] == [wire.TurnEnd]
        assert await server.granted(within_s=0.3) == 1


async def test_what_the_server_sends_too_late_is_dropped_and_counted(tmp_path: Path) -> None:
    async with conversing(tmp_path) as (server, client):
        await server.say(wire.Audio(turn=1, generation=1), b"\0\0")
        await server.say(wire.StateChange(generation=2, state="listening"))
        await server.say(wire.Audio(turn=1, generation=1, seq=1), b"\0\0")
        await server.say(wire.TurnEnd(turn=1, generation=2, reason="interrupted"))
        taken = await take(client, lambda e: isinstance(e, Received) and is_end(e))
        assert not any(isinstance(e, Received) and e.message.seq == 1 for e in taken)
        assert client.stale_count == 1


async def test_sound_of_a_turn_that_ended_by_itself_is_handed_out(tmp_path: Path) -> None:
    async with conversing(tmp_path) as (server, client):
        await server.say(wire.Audio(turn=1, generation=1), b"\0\0")
        await server.say(wire.TurnEnd(turn=1, generation=1, reason="complete"))
        await asyncio.sleep(0.1)
        taken = await take(client, lambda e: isinstance(e, Received) and is_end(e))
        assert len(taken) == 2


async def test_a_server_that_is_gone_is_said_also_while_pictures_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("halfsecond.client.SILENCE_LIMIT_S", 0.2)
    monkeypatch.setattr("halfsecond.client.CLOCK_INTERVAL_S", 0.1)
    async with conversing(tmp_path) as (server, client):
        for _ in range(3):
            await server.say(picture(1), b"jpeg")
        await asyncio.sleep(0.1)
        server.close()
        await asyncio.sleep(0.2)
        taken = await take(client, lambda e: isinstance(e, Disconnected))
        assert len(taken) == 4


async def test_a_new_session_is_not_granted_pictures_of_the_one_before(tmp_path: Path) -> None:
    async with conversing(tmp_path) as (server, client):
        for _ in range(5):
            await server.say(picture(1), b"jpeg")
        await server.say(wire.Error(code="no_session", message="say hello first", is_fatal=True))
        await server.welcome("second")
        await server.say(picture(1), b"jpeg")
        await server.say(wire.TurnEnd(turn=1, generation=1, reason="complete"))
        await asyncio.sleep(0.2)
        await take(client, lambda e: isinstance(e, Received) and is_end(e))
        assert await server.granted(within_s=0.3) == 1


def is_end(event: Received) -> bool:
    return isinstance(event.message, wire.TurnEnd)


def test_the_record_of_a_long_turn_can_be_read() -> None:
    spans = [("lipsync", "feed", 1000.5 + n, 1000.9 + n) for n in range(2000)]
    end = wire.TurnEnd(reason="complete", spans=spans)
    message, _ = wire.decode_from_server([bytes(frame) for frame in wire.encode(end)])
    assert message == end
