"""What a server keeps of visitors who have left: nothing."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from fakes.servers import RunServer
from halfsecond import wire
from halfsecond.bus import server as bus_server
from halfsecond.client import Received


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Python's own collector may come at any time, or not for long."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
async def test_the_memory_of_a_session_is_free_soon_after_its_end(
    run_server: RunServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_server, "FREE_AFTER_S", 0.5)
    async with run_server() as running, running.client(video="none") as staying:
        async with running.client(video="none") as leaving:
            await leaving.ask("When do you close?")
            async for event in leaving.events():
                if isinstance(event, Received) and isinstance(event.message, wire.TurnEnd):
                    break
            sessions = [weakref.ref(client.session) for client in running.server._clients.values()]
        assert len(sessions) == 2
        for _ in range(100):
            await staying.interrupt()  # the server goes on to another client
            await asyncio.sleep(0.05)
            if sum(session() is not None for session in sessions) == 1:
                break
        assert sum(session() is not None for session in sessions) == 1
