"""A whole server in an echoing room: it must not answer itself, and must hear its visitor."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from halfsecond import audio, wire
from halfsecond.client import Client, Received
from halfsecond_bench.echo.live import EchoingRoom
from halfsecond_bench.echo.room import at_level
from halfsecond_bench.server_process import running_server

pytestmark = [pytest.mark.models, pytest.mark.slow]

LOUD = 0.7
"""The echo is some 3 dB louder than a visitor at -26 dBFS."""
QUESTION = "Where is the moon rock?"
TOML = '[log]\nformat = "json"\n[face]\nidle_fps = 0\n[echo]\nkind = "{kind}"\n'


async def visit(
    kind: str, *, typed: int, spoken_over: NDArray[np.float32] | None = None
) -> list[wire.ServerMessage]:
    """What a loud room is told, sound and pictures left out, while `typed` questions are answered.

    spoken_over: a question, spoken 1.2 s into the last answer; its own answer is waited for.
    """
    told: list[wire.ServerMessage] = []
    hello = wire.Hello(client="test", video="none")
    begun, wanted = 0, typed + (spoken_over is not None)
    async with (
        running_server(TOML.format(kind=kind)) as server,
        Client(server.address, hello=hello) as client,
    ):
        room = EchoingRoom(client, LOUD)
        await asyncio.sleep(1.0)
        await client.ask(QUESTION)
        async for event in client.events():
            assert isinstance(event, Received)
            room.take(event)
            if isinstance(event.message, wire.Audio):
                begun += event.message.seq == 0
                if event.message.seq == 0 and begun == typed and spoken_over is not None:
                    asyncio.get_running_loop().call_later(1.2, room.say, spoken_over)
                continue
            told.append(event.message)
            if isinstance(event.message, wire.TurnEnd):
                if len(ends(told)) < typed:
                    await client.ask(QUESTION)
                elif len(ends(told)) == wanted:
                    break
        await room.close()
    return told


def ends(told: list[wire.ServerMessage]) -> list[str]:
    return [message.reason for message in told if isinstance(message, wire.TurnEnd)]


def speeches(told: list[wire.ServerMessage]) -> int:
    return sum(isinstance(m, wire.Speech) and m.is_speaking for m in told)


async def test_answers_that_come_back_loudly_pause_nothing_from_the_first_on() -> None:
    told = await visit("aec3", typed=4)
    assert speeches(told) == 0
    assert not any(isinstance(message, wire.Pause) for message in told)
    assert ends(told) == ["complete"] * 4


async def test_without_the_canceller_it_hears_itself() -> None:
    """Seeds the fault that the test above guards against."""
    assert speeches(await visit("none", typed=2)) > 0


async def test_a_visitor_who_speaks_over_a_loud_answer_is_heard_and_answered(
    clips_dir: Path,
) -> None:
    question = at_level(audio.load(clips_dir / "close.flac").samples, -24.0)
    told = await visit("aec3", typed=3, spoken_over=question)
    assert ends(told) == ["complete", "complete", "interrupted", "complete"]
    assert any(isinstance(message, wire.Pause) for message in told)
    (heard,) = [m.text for m in told if isinstance(m, wire.Transcript) and m.turn == 4]
    assert "close" in heard.lower()
