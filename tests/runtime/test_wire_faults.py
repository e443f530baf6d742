"""A bad message costs its sender an error, and nobody else anything."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import msgpack  # type: ignore[import-untyped]
import numpy as np
import pytest
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakes.engines import CLAUSE_S, FakeEngines, FakeLipSync, FakeVad
from fakes.peers import header, plain_peer
from fakes.servers import Running, RunServer
from halfsecond import wire
from halfsecond.client import Client, Received
from halfsecond.stages.lipsync import LipSyncRequest, Picture
from halfsecond.stages.listening import MAX_WAITING_BLOCKS, MAX_WAITING_S
from halfsecond.stages.vad import VadReply, VadRequest

TONE = 0.3 * np.sin(2 * np.pi * 220 * np.arange(int(CLAUSE_S * 24_000)) / 24_000)


# The other client, who is being answered meanwhile.


async def assert_answered_whole(client: Client) -> None:
    """All of the answer comes: every block, in order, with every sample as the voice gave it."""
    blocks: list[tuple[int, bytes]] = []
    clauses = 0
    async for event in client.events():
        assert isinstance(event, Received)
        message = event.message
        assert not isinstance(message, wire.Error), message.message
        if isinstance(message, wire.Audio):
            blocks.append((message.seq, event.payload))
        clauses += isinstance(message, wire.Answer)
        if isinstance(message, wire.TurnEnd):
            assert message.reason == "complete"
            break
    assert [seq for seq, _ in blocks] == list(range(len(blocks)))
    samples = np.frombuffer(b"".join(payload for _, payload in blocks), "<i2") / 32768
    assert clauses > 0
    np.testing.assert_allclose(samples, np.tile(TONE, clauses), atol=2 / 32768)


@asynccontextmanager
async def in_the_middle_of_an_answer(run_server: RunServer) -> AsyncIterator[Running]:
    """Another client's answer is being made in the body; after it, all of it must come."""
    async with run_server() as running, running.client(video="none") as other:
        running.engines.llm.pieces = ("We close at five.",)
        running.engines.tts.gate.clear()
        await other.ask("When do you close?")
        async for event in other.events():
            if isinstance(event, Received) and isinstance(event.message, wire.StateChange):
                break
        yield running
        running.engines.tts.gate.set()
        await asyncio.wait_for(assert_answered_whole(other), 10)


# What each fault gets.

NESTED = b"\x82\xa4type\xa9interrupt\xa1x" + b"\x91" * 15_000 + b"\xc0"

BAD_MESSAGES: dict[str, tuple[list[bytes], str]] = {
    "no msgpack": ([b"\xc1\xff\x00", b""], "not a message of protocol 1"),
    "an empty header": ([b"", b""], "not a message of protocol 1"),
    "a str instead of a map": ([b"\xa5hello", b""], "Expected `object`, got `str`"),
    "no type": ([b"\x81\xa4text\xa6Hello?", b""], "missing required field `type`"),
    "an unknown type": ([header("shout"), b""], "Invalid value 'shout'"),
    "a message of the server": ([header("state", state="idle"), b""], "Invalid value 'state'"),
    "more behind the map": ([header("interrupt") + b"\x01", b""], "trailing characters"),
    "half a map": ([header("text", text="Hello?")[:-3], b""], "truncated"),
    "a type that is no UTF-8": ([b"\x81\xa4type\xa3\xff\xfe\xfd", b""], "utf-8"),
    "a text that is no UTF-8": ([b"\x82\xa4type\xa4text\xa4text\xa2\xff\xfe", b""], "utf-8"),
    "a text that is a number": ([header("text", text=5), b""], "Expected `str`, got `int`"),
    "no text": ([header("text"), b""], "missing required field `text`"),
    "an empty text": ([header("text", text=""), b""], "the text is empty"),
    "a blank text": ([header("text", text=" \n\t"), b""], "the text is empty"),
    "credit in words": ([header("credit", frames="three"), b""], "Expected `int`, got `str`"),
    "half a picture of credit": ([header("credit", frames=1.5), b""], "Expected `int`"),
    "negative credit": ([header("credit", frames=-1), b""], "Expected `int` >= 0"),
    "a seq below all integers": ([header("audio", seq=-(2**63)), b""], "came after"),
    "a time that is a str": ([header("playhead", pts="now"), b""], "Expected `float`"),
    "a map in 15000 arrays": ([NESTED, b""], "recursion"),
    "one frame": ([header("interrupt")], "this one has 1"),
    "three frames": ([header("interrupt"), b"", b""], "this one has 3"),
    "a header too long": ([header("text", text="a" * 20_000), b""], "at most 16384 are read"),
    "a payload too large": (
        [header("audio"), bytes(wire.MAX_PAYLOAD_BYTES + 2)],
        f"the payload has {wire.MAX_PAYLOAD_BYTES + 2} bytes",
    ),
    "half a sample": ([header("audio"), bytes(641)], "its bytes come in 2s; these are 641"),
    "two seconds of audio": ([header("audio"), bytes(64_000)], "holds 1 s of audio, this one 2 s"),
}


@pytest.mark.parametrize("name", BAD_MESSAGES)
async def test_a_bad_message_costs_its_sender_an_error_that_says_why(
    run_server: RunServer, name: str
) -> None:
    frames, reason = BAD_MESSAGES[name]
    async with (
        in_the_middle_of_an_answer(run_server) as running,
        plain_peer(running.address) as peer,
    ):
        welcome = await peer.hello(video="none")
        await peer.send_frames(*frames)
        error = await peer.receive("error")
        assert error["code"] == "bad_message"
        assert reason in error["message"]
        assert error["session"] == welcome["session"]
        assert not error["is_fatal"]
        assert await peer.is_answered(), "the session was lost"


BAD_HELLOS: dict[str, tuple[dict[str, Any], str, str]] = {
    "another version": ({"v": 2}, "bad_version", "protocol 2 is not spoken here; this is 1"),
    "too slow a microphone": ({"audio_rate_hz": 4000}, "bad_hello", "4000 Hz"),
    "too fast a microphone": ({"audio_rate_hz": 2**62}, "bad_hello", "8000 to 192000 Hz"),
    "a negative rate": ({"audio_rate_hz": -16_000}, "bad_hello", "-16000 Hz"),
    "no channel": ({"audio_channels": 0}, "bad_hello", "1 to 8 channels"),
    "a thousand channels": ({"audio_channels": 1000}, "bad_hello", "1000 channels"),
    "an unknown format": ({"video": "gif"}, "bad_message", "Invalid enum value 'gif'"),
    "negative credit": ({"credit": -5}, "bad_message", "Expected `int` >= 0"),
    "a number for a language": ({"language": 7}, "bad_message", "Expected `str | null`"),
}


@pytest.mark.parametrize("name", BAD_HELLOS)
async def test_a_hello_that_cannot_be_served_opens_no_session(
    run_server: RunServer, name: str
) -> None:
    wishes, code, reason = BAD_HELLOS[name]
    async with (
        in_the_middle_of_an_answer(run_server) as running,
        plain_peer(running.address) as peer,
    ):
        await peer.send("hello", **wishes)
        error = await peer.receive("error", "welcome")
        assert error["type"] == "error"
        assert error["code"] == code
        assert reason in error["message"]
        assert not await peer.is_answered()
        assert running.server.session_count == 1
        await peer.hello()  # corrected, it is welcome


async def test_a_bad_hello_in_a_session_leaves_the_session_open(run_server: RunServer) -> None:
    async with run_server() as running, plain_peer(running.address) as peer:
        welcome = await peer.hello()
        await peer.send("hello", audio_channels=99)
        error = await peer.receive("error")
        assert (error["session"], error["is_fatal"]) == (welcome["session"], False)
        assert await peer.is_answered()


@pytest.mark.parametrize("seq", [4, 5])
async def test_audio_that_is_old_or_came_before_is_dropped(run_server: RunServer, seq: int) -> None:
    async with (
        in_the_middle_of_an_answer(run_server) as running,
        plain_peer(running.address) as peer,
    ):
        await peer.hello(video="none")
        await peer.send("audio", bytes(640), seq=5)
        await peer.send("audio", bytes(640), seq=seq)
        error = await peer.receive("error")
        assert error["code"] == "bad_message"
        assert f"audio {seq} came after 5" in error["message"]
        await peer.send("audio", bytes(640), seq=9)  # a gap is no fault
        assert await peer.is_answered()


async def test_audio_with_half_a_frame_is_refused(run_server: RunServer) -> None:
    async with run_server() as running, plain_peer(running.address) as peer:
        await peer.hello(audio_channels=2)
        await peer.send("audio", bytes(642))
        assert "its bytes come in 4s; these are 642" in (await peer.receive("error"))["message"]


@pytest.mark.parametrize(
    "frames",
    [
        [header("text", text="Hello?"), b""],
        [header("audio"), bytes(640)],
        [header("credit", frames=3), b""],
        [header("bye"), b""],
    ],
    ids=["text", "audio", "credit", "bye"],
)
async def test_a_message_before_hello_is_told_to_say_hello(
    run_server: RunServer, frames: list[bytes]
) -> None:
    async with (
        in_the_middle_of_an_answer(run_server) as running,
        plain_peer(running.address) as peer,
    ):
        await peer.send_frames(*frames)
        error = await peer.receive("error")
        assert (error["code"], error["is_fatal"]) == ("no_session", True)
        assert error["message"] == "say hello first"
        await peer.hello()


async def test_a_second_hello_opens_another_session_in_the_place_of_the_first(
    run_server: RunServer,
) -> None:
    async with (
        in_the_middle_of_an_answer(run_server) as running,
        plain_peer(running.address) as peer,
    ):
        first = await peer.hello(video="none")
        await peer.send("audio", bytes(640), seq=7)
        second = await peer.hello(video="none")
        assert second["session"] != first["session"]
        assert running.server.session_count == 2
        await peer.send("audio", bytes(640), seq=0)
        assert await peer.is_answered()


class SlowToOpen(FakeLipSync):
    """Holds sessions back while `gate` is cleared."""

    def run(self, request: LipSyncRequest, cancel: Any) -> Iterator[Picture]:
        if request.action == "open":
            self.take(request)
        yield from super().run(request, cancel)


async def test_a_question_before_the_welcome_is_told_to_wait(run_server: RunServer) -> None:
    engines = FakeEngines()
    engines.lipsync = SlowToOpen()
    async with run_server(engines=engines) as running, plain_peer(running.address) as peer:
        engines.lipsync.gate.clear()
        await peer.send("hello")
        await peer.send("audio", bytes(640))
        await peer.send("text", text="Hello?")
        assert (await peer.receive("error"))["code"] == "not_open_yet"
        engines.lipsync.gate.set()
        await peer.receive("welcome")
        await peer.send("text", text="Hello?")
        assert (await peer.receive("turn_end"))["reason"] == "complete"


class HeldVad(FakeVad):
    """Listens to nothing while `gate` is cleared."""

    def run(self, request: VadRequest, cancel: Any) -> Iterator[VadReply]:
        self.gate.wait(10)
        yield from super().run(request, cancel)


@pytest.mark.parametrize(
    ("block_bytes", "blocks", "is_end_refused"),
    [(1024, int(2 * MAX_WAITING_S / 0.032), False), (64, MAX_WAITING_BLOCKS + 500, True)],
    ids=["too long", "too many"],
)
async def test_audio_faster_than_it_is_heard_is_refused_and_the_session_goes_on(
    run_server: RunServer, block_bytes: int, blocks: int, is_end_refused: bool
) -> None:
    engines = FakeEngines()
    engines.vad = HeldVad()
    async with run_server(engines=engines) as running, plain_peer(running.address) as peer:
        await peer.hello()
        engines.vad.gate.clear()
        started_s = time.monotonic()
        for seq in range(blocks):
            await peer.send("audio", bytes(block_bytes), seq=seq)
        await peer.send("end_of_audio")
        await peer.send("text", text="Hello?")  # its answer comes behind what is told of the audio
        told = await peer.receive_until("turn_end", "error")
        took_s = time.monotonic() - started_s
        assert {error["code"] for error in told} == {"too_fast"}
        # Not once for each dropped block: hundreds of answers would push out others.
        assert 1 + is_end_refused <= len(told) <= 1 + is_end_refused + took_s
        engines.vad.gate.set()
        assert await peer.is_answered()


async def test_a_frame_beyond_all_bounds_ends_the_connection_of_its_sender_alone(
    run_server: RunServer,
) -> None:
    async with (
        in_the_middle_of_an_answer(run_server) as running,
        plain_peer(running.address) as peer,
    ):
        await peer.hello(video="none")
        await peer.send("audio", bytes(2 * wire.MAX_PAYLOAD_BYTES))
        for _ in range(50):  # libzmq connects again, as a client that has no session
            await peer.send("clock", client_s=1.0)
            with contextlib.suppress(asyncio.TimeoutError):
                reply = await peer.receive("clock", timeout_s=0.2)
                if reply["session"] == "":
                    return
        raise AssertionError("the connection was not ended")


async def test_a_fault_of_the_server_in_one_message_ends_nothing(
    run_server: RunServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("a fault of ours")

    async with (
        in_the_middle_of_an_answer(run_server) as running,
        plain_peer(running.address) as peer,
    ):
        await peer.hello(video="none")
        with monkeypatch.context() as patch:
            patch.setattr("halfsecond.bus.outbox.Outbox.grant", fail)
            await peer.send("credit", frames=1)
            assert (await peer.receive("error"))["code"] == "internal"
        assert await peer.is_answered()


# Anything at all.

FIELDS = [
    "session",
    "turn",
    "generation",
    "seq",
    "pts",
    "v",
    "client",
    "language",
    "avatar",
    "voice",
    "audio_rate_hz",
    "audio_channels",
    "video",
    "wants_idle",
    "credit",
    "text",
    "frames",
    "client_s",
    "received_s",
    "sent_s",
    "reason",
]
KINDS = [
    "hello",
    "audio",
    "end_of_audio",
    "text",
    "interrupt",
    "playhead",
    "credit",
    "clock",
    "bye",
    "welcome",
    "state",
]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.integers(-2, 3)
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=20)
    | st.sampled_from(["jpeg", "rgb", "none", 8000, 48_000]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
HEADERS = st.builds(
    lambda kind, fields: msgpack.packb({"type": kind, **fields}),
    st.sampled_from(KINDS),
    st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=4),
)
BENT_HEADERS = st.builds(
    lambda head, at, byte: head[: at % len(head)] + bytes([byte]) + head[at % len(head) + 1 :],
    HEADERS,
    st.integers(0, 200),
    st.integers(0, 255),
)
MESSAGES = (
    st.tuples(HEADERS | BENT_HEADERS, st.binary(max_size=64))
    | st.tuples(BENT_HEADERS, st.just(b""))
    | st.lists(st.binary(max_size=64), min_size=1, max_size=4)
)


@contextmanager
def server_in_a_thread(run_server: RunServer, ready: Callable[[Running], None]) -> Iterator[str]:
    """The address of a server that runs on a loop of its own."""
    address: list[str] = []
    is_ready = threading.Event()
    stops: list[Callable[[], object]] = []

    async def serve() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        stops.append(lambda: loop.call_soon_threadsafe(stop.set))
        async with run_server() as running:
            ready(running)
            address.append(running.address)
            is_ready.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert is_ready.wait(20)
    try:
        yield address[0]
    finally:
        stops[0]()
        thread.join()


class Bystander:
    """Asks again and again, and checks every answer."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._socket = socket
        self._sound = b""
        self.answers = 0
        self.say(header("hello", video="none"))

    def say(self, head: bytes) -> None:
        self._socket.send_multipart([head, b""])

    def look(self, timeout_ms: int = 0) -> None:
        """Takes what has come, after waiting for the first of it."""
        self._socket.poll(timeout_ms)
        while self._socket.poll(0):
            head, payload = self._socket.recv_multipart()
            message = msgpack.unpackb(head)
            assert message["type"] not in ("error", "bye"), message
            if message["type"] == "audio":
                self._sound += payload
            elif message["type"] == "turn_end":
                samples = np.frombuffer(self._sound, "<i2") / 32768
                np.testing.assert_allclose(samples, np.tile(TONE, 2), atol=2 / 32768)
                self.answers += 1
                self._sound = b""
            if message["type"] in ("welcome", "turn_end"):
                self.say(header("text", text="And then?"))


def exchange(socket: zmq.Socket[bytes], frames: list[bytes], number: int) -> None:
    """Sends anything, then asks for the time; the server must still tell it."""
    socket.send_multipart(frames)
    socket.send_multipart([header("clock", client_s=float(number)), b""])
    end_s = time.monotonic() + 10
    while time.monotonic() < end_s:
        if socket.poll(100):
            message = msgpack.unpackb(socket.recv_multipart()[0])
            if message["type"] == "clock" and message["client_s"] == number:
                return
    raise AssertionError(f"the server fell silent after {frames}")


def test_whatever_a_client_sends_the_server_lives_and_others_are_answered(
    run_server: RunServer,
) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    numbers = itertools.count(1_000_000)

    def script(running: Running) -> None:
        running.engines.llm.pieces = ("We close at five.", " Come again tomorrow.")

    with (
        server_in_a_thread(run_server, script) as address,
        context.socket(zmq.DEALER) as other,
        context.socket(zmq.DEALER) as fuzzer,
    ):
        for socket in (other, fuzzer):
            socket.setsockopt(zmq.LINGER, 0)
            socket.connect(address)
        bystander = Bystander(other)
        bystander.look(1000)

        @settings(
            max_examples=400,
            deadline=None,
            database=None,
            suppress_health_check=[HealthCheck.too_slow],
        )
        @given(MESSAGES)
        def send(frames: list[bytes]) -> None:
            exchange(fuzzer, list(frames), next(numbers))
            bystander.say(header("clock"))
            bystander.look()

        send()
        answers = bystander.answers
        end_s = time.monotonic() + 15
        while bystander.answers == answers and time.monotonic() < end_s:
            bystander.say(header("clock"))
            bystander.look(100)
        assert bystander.answers > answers
    context.term()
