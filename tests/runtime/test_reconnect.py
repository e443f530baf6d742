"""A client whose session is lost gets a new one by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]
import msgspec
import pytest
import zmq
import zmq.asyncio

from fakes.peers import plain_peer
from fakes.servers import QUICK, RunServer
from halfsecond import wire
from halfsecond.client import Client, Disconnected, Event, Received
from halfsecond.errors import ServerError


@pytest.fixture(autouse=True)
def quick_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sees within half a second that a server is gone."""
    monkeypatch.setattr("halfsecond.client.CLOCK_INTERVAL_S", 0.1)
    monkeypatch.setattr("halfsecond.client.SILENCE_LIMIT_S", 0.5)


async def events_until(client: Client, is_last: Callable[[Event], bool]) -> list[Event]:
    """Everything up to the event that `is_last` accepts."""
    seen: list[Event] = []

    async def read() -> None:
        async for event in client.events():
            seen.append(event)
            if is_last(event):
                return

    await asyncio.wait_for(read(), 15)
    return seen


def is_a(kind: type[wire.Header]) -> Callable[[Event], bool]:
    return lambda event: isinstance(event, Received) and isinstance(event.message, kind)


def of_kind(events: list[Event], kind: type[wire.Header]) -> list[wire.Header]:
    return [e.message for e in events if isinstance(e, Received) and isinstance(e.message, kind)]


async def test_a_server_that_comes_back_gives_the_client_a_session_that_answers(
    run_server: RunServer,
) -> None:
    async with run_server() as running:
        client = running.client()
        first = await client.open()
    goodbye = await events_until(client, lambda event: isinstance(event, Disconnected))
    assert [e.reason for e in of_kind(goodbye, wire.Bye)] == ["the server stops"]  # type: ignore[attr-defined]
    async with run_server() as running:
        await events_until(client, is_a(wire.Welcome))
        assert client.welcome is not None
        assert client.welcome.session != first.session
        assert running.server.session_count == 1
        await client.ask("Are you there?")
        answer = await events_until(client, is_a(wire.TurnEnd))
        await client.close()
    assert of_kind(answer, wire.Audio)
    assert of_kind(answer, wire.TurnEnd)[0].reason == "complete"  # type: ignore[attr-defined]
    assert not of_kind(answer, wire.Error)


async def test_a_microphone_that_runs_on_is_heard_in_the_new_session(run_server: RunServer) -> None:
    """Its count goes on: blocks between the opening and the welcome must not void later ones."""
    block = (b"\x00\x40" + b"\x00\xc0") * 160

    async def speak(client: Client) -> None:
        while True:
            await client.send_audio(block)
            await asyncio.sleep(0.01)

    async with run_server() as running:
        client = running.client()
        await client.open()
        speaking = asyncio.create_task(speak(client))
        await events_until(client, is_a(wire.Speech))
    async with run_server():
        seen = await events_until(client, is_a(wire.Welcome))
        seen += await events_until(client, is_a(wire.Speech))
        assert not of_kind(seen, wire.Error)
        speaking.cancel()
        await asyncio.gather(speaking, return_exceptions=True)
        await client.close()


async def test_a_forgotten_session_is_opened_again_once_whatever_is_sent_meanwhile(
    run_server: RunServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("halfsecond.client.CLOCK_INTERVAL_S", 60.0)  # falls silent
    server = msgspec.structs.replace(QUICK.server, session_timeout_s=0.3)
    config = msgspec.structs.replace(QUICK, server=server)
    async with run_server(config) as running, running.client() as client:
        first = client.welcome
        goodbye = await events_until(client, is_a(wire.Bye))
        assert "nothing was heard" in of_kind(goodbye, wire.Bye)[0].reason  # type: ignore[attr-defined]
        for _ in range(20):
            await client.send_audio(bytes(640))
        await events_until(client, is_a(wire.Welcome))
        for _ in range(20):
            await client.send_audio(bytes(640))
        await client.ask("Are you there?")
        seen = await events_until(client, is_a(wire.Audio))
        assert running.server.session_count == 1
    assert first is not None
    assert client.welcome is not None
    assert client.welcome.session != first.session
    assert not of_kind(seen, wire.Welcome)
    assert not of_kind(seen, wire.Error)


async def test_hello_is_said_once_for_many_refusals_and_the_count_of_audio_goes_on(
    tmp_path: Path,
) -> None:
    """A server that opens slowly would otherwise open one session after another."""
    address = f"ipc://{tmp_path}/slow.ipc"
    heard: list[dict[str, Any]] = []

    async def forget(socket: zmq.asyncio.Socket) -> None:
        """Forgets the first session at once; welcomes again after 20 blocks of audio."""
        while True:
            identity, head, _ = await socket.recv_multipart()
            heard.append(msgpack.unpackb(head))
            blocks = sum(message["type"] == "audio" for message in heard)
            if heard[-1]["type"] == "audio" and blocks <= 20:
                error = wire.Error(code="no_session", message="say hello first", is_fatal=True)
                await socket.send_multipart([identity, *wire.encode(error)])
            if blocks == 20 or len(heard) == 1:
                await socket.send_multipart([identity, *wire.encode(wire.Welcome())])

    with zmq.asyncio.Context() as context, context.socket(zmq.ROUTER) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.bind(address)
        forgetting = asyncio.create_task(forget(socket))
        async with Client(address) as client:
            for _ in range(19):
                await client.send_audio(bytes(640))
                await asyncio.sleep(0.002)
            await client.send_audio(bytes(640))
            await events_until(client, is_a(wire.Welcome))
            await client.send_audio(bytes(640))
        forgetting.cancel()
        await asyncio.gather(forgetting, return_exceptions=True)
    kinds = [message["type"] for message in heard]
    assert kinds.count("hello") == 2
    counts = [message["seq"] for message in heard if message["type"] == "audio"]
    assert counts == list(range(21))


async def test_a_message_of_a_later_version_is_passed_over(run_server: RunServer) -> None:
    """docs/wire.md promises that servers may add types of messages."""

    class Later(wire.Header, frozen=True, kw_only=True, tag="gesture"):
        name: str

    async with run_server() as running, running.client() as client:
        (held,) = running.server._clients.values()
        held.outbox.put(Later(name="wave"))
        await client.ask("Are you there?")
        seen = await events_until(client, is_a(wire.TurnEnd))
    assert of_kind(seen, wire.Audio)


async def test_a_refused_hello_says_why_instead_of_no_server(run_server: RunServer) -> None:
    async with run_server() as running:
        with pytest.raises(ServerError, match="refused: audio at 4000 Hz"):
            await running.client(audio_rate_hz=4000).open()


async def test_a_session_that_is_lost_is_said_in_the_reply_to_clock(run_server: RunServer) -> None:
    async with run_server() as running, plain_peer(running.address) as peer:
        assert not await peer.is_answered()
        await peer.hello()
        assert await peer.is_answered()
        await peer.send("bye")
        for _ in range(100):
            if not await peer.is_answered():
                break
        assert not await peer.is_answered()


async def test_a_server_that_is_closing_lets_nobody_in(run_server: RunServer) -> None:
    """A client told goodbye says hello at once; the engines are about to be closed."""
    async with run_server() as running:
        client = running.client()
        await client.open()
        running.engines.vad.gate.clear()  # holds the first session's end
        closing = asyncio.create_task(running.server.close())
        with pytest.raises(ServerError, match="no server answers"):
            await Client(running.address, timeout_s=0.3).open()
        assert not closing.done()
        assert running.server.session_count == 0
        running.engines.release()
        await asyncio.wait_for(closing, 5)
        await running.server.close()  # a second time changes nothing
        await client.close()
