"""A visitor whose time runs faster: its parts, and against a server on fake engines."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import numpy as np
import pytest

from fakes.engines import CLAUSE_S, FakeEngines
from fakes.servers import RunServer
from halfsecond import wire
from halfsecond.client import Client
from halfsecond.conversation import BLOCK_S, RATE_HZ
from halfsecond.errors import ServerError
from halfsecond_bench.fast_visitor import FastVisitor, Microphone, Player, StuckError, Watch

QUESTION = (0.4 * np.sin(np.arange(RATE_HZ) / 8)).astype(np.float32)
"""A second that the fake VAD takes for speech."""
PACE = 5.0
LONG = tuple(f" And sentence {number} follows." for number in range(20))
"""An answer of several seconds."""


class CountingClient:
    """Notes what the microphone sends."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    async def send_audio(self, pcm: bytes) -> None:
        self.sent.append(pcm)


async def test_a_microphone_sends_what_is_said_and_then_silence() -> None:
    client = CountingClient()
    microphone = Microphone(cast(Client, client), pace=50.0)
    microphone.say(QUESTION[: RATE_HZ // 10])
    running = asyncio.create_task(microphone.run())
    await asyncio.sleep(0.1)
    running.cancel()
    loud = [any(block) for block in client.sent]
    assert loud[:5] == [True] * 5
    assert not any(loud[5:])
    assert microphone.silent_s == pytest.approx((len(loud) - 5) * BLOCK_S)


def test_a_player_hears_faster_and_never_more_than_it_has() -> None:
    player = Player(pace=4.0)
    player.take(1, at_s=10.0, duration_s=1.0)
    assert player.position_s(10.1) == pytest.approx(0.4)
    assert player.position_s(12.0) == 1.0


def test_a_player_that_ran_dry_goes_on_from_where_it_stopped() -> None:
    player = Player(pace=4.0)
    player.take(1, at_s=10.0, duration_s=1.0)
    player.take(1, at_s=10.5, duration_s=1.0)
    assert player.gaps == 1
    assert player.position_s(10.5) == pytest.approx(1.0)
    assert player.position_s(10.6) == pytest.approx(1.4)
    player.take(2, at_s=20.0, duration_s=1.0)
    assert (player.gaps, player.position_s(20.0)) == (0, 0.0)


def test_a_player_stands_still_in_a_pause() -> None:
    player = Player(pace=4.0)
    player.take(1, at_s=10.0, duration_s=2.0)
    player.pause(10.1)
    player.pause(10.3)
    assert player.position_s(11.0) == pytest.approx(0.4)
    player.resume(11.0)
    assert player.position_s(11.1) == pytest.approx(0.8)


def test_a_session_is_quiet_when_every_turn_has_ended_and_the_face_rests() -> None:
    watch = Watch()
    watch.see(wire.StateChange(turn=3, state="thinking"))
    assert not watch.is_quiet
    watch.see(wire.StateChange(turn=0, state="idle"))
    assert not watch.is_quiet
    watch.see(wire.TurnEnd(turn=3, reason="complete"))
    assert watch.is_quiet
    watch.see(wire.StateChange(turn=0, state="listening"))
    assert not watch.is_quiet


@asynccontextmanager
async def visitor_of(client: Client) -> AsyncIterator[FastVisitor]:
    visitor = FastVisitor(client, pace=PACE)
    try:
        yield visitor
    finally:
        await visitor.close()


async def test_a_question_is_answered_in_a_fraction_of_the_answers_length(
    run_server: RunServer,
) -> None:
    engines = FakeEngines()
    engines.llm.pieces = LONG
    async with (
        run_server(engines=engines) as running,
        running.client() as client,
        visitor_of(client) as visitor,
    ):
        began_s = time.monotonic()
        visitor.say(QUESTION)
        await visitor.until_quiet(limit_s=30)
        took_s = time.monotonic() - began_s
        ((reply, _),) = visitor.take_ended()
    assert reply.end is not None
    assert reply.end.reason == "complete"
    spoken_s = sum(len(samples) for _, _, samples in reply.audio) / 24_000
    assert spoken_s >= 10 * CLAUSE_S
    assert took_s < (len(QUESTION) / RATE_HZ + spoken_s) / 2


async def test_an_answer_can_be_stopped_where_it_was_meant_to_be(run_server: RunServer) -> None:
    engines = FakeEngines()
    engines.llm.pieces = LONG
    async with (
        run_server(engines=engines) as running,
        running.client() as client,
        visitor_of(client) as visitor,
    ):
        await visitor.type("When do you close?")
        await visitor.until_heard(1.0, limit_s=10)
        assert 1.0 <= visitor.player.position_s(time.monotonic()) < 3.0
        await visitor.interrupt()
        await visitor.until_quiet(limit_s=10)
        assert [reply.end.reason for reply, _ in visitor.take_ended() if reply.end] == [
            "interrupted"
        ]
        assert visitor.take_ended() == []
        assert visitor.recorder.replies == {}


async def test_a_turn_that_does_not_end_is_told_with_its_state(run_server: RunServer) -> None:
    async with (
        run_server() as running,
        running.client() as client,
        visitor_of(client) as visitor,
    ):
        running.engines.llm.gate.clear()
        await visitor.type("When do you close?")
        with pytest.raises(StuckError, match=r"state thinking, open turns \[1\]"):
            await visitor.until_quiet(limit_s=0.5)
        running.engines.release()


async def test_a_session_that_the_server_has_ended_is_told(run_server: RunServer) -> None:
    async with (
        run_server() as running,
        running.client() as client,
        visitor_of(client) as visitor,
    ):
        await visitor.type("When do you close?")
        await running.server.close()
        with pytest.raises(ServerError, match="goodbye: the server stops"):
            await visitor.until_quiet(limit_s=10)
