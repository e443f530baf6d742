"""The face is told what the conversation does: it greets, asks, and speaks."""

from __future__ import annotations

import asyncio

import msgspec

from fakes.engines import FakeEngines
from fakes.servers import QUICK, RunServer
from halfsecond.client import Client
from halfsecond.config import PhrasesConfig
from halfsecond.conversation import Visitor
from halfsecond.stages.lipsync import LipSyncRequest


def moods(engines: FakeEngines) -> list[str]:
    """Of the speech that was drawn, each change once."""
    found = [r.mood for r in engines.lipsync.requests if isinstance(r, LipSyncRequest)]
    return [mood for at, mood in enumerate(found) if at == 0 or mood != found[at - 1]]


async def test_an_answer_that_asks_back_raises_its_brows(run_server: RunServer) -> None:
    engines = FakeEngines()
    engines.llm.pieces = ("We close at five, every day.", " Would you like to come in?")
    async with run_server(QUICK, engines) as running, Client(running.address) as client:
        visitor = Visitor(client)
        await visitor.type("When do you close?")
        await visitor.close()
    assert moods(engines) == ["speaking", "asking"]


async def test_a_greeting_smiles(run_server: RunServer) -> None:
    engines = FakeEngines()
    config = msgspec.structs.replace(
        QUICK, phrases=PhrasesConfig(greeting="Welcome to the museum.")
    )
    async with run_server(config, engines) as running, Client(running.address) as client:
        await client.greet()
        for _ in range(300):
            if moods(engines):
                break
            await asyncio.sleep(0.01)
    assert moods(engines) == ["greeting"]
