"""A server lets go: of clients that fall silent, and of its engines where it cannot listen."""

from __future__ import annotations

import asyncio

import pytest

from fakes.engines import FakeEngines
from fakes.peers import plain_peer
from fakes.servers import QUICK, RunServer
from halfsecond.bus.server import Server
from halfsecond.errors import ConfigError
from halfsecond.models.llm.persona import Persona
from halfsecond.stages.session import Session


async def test_a_session_that_cannot_be_closed_does_not_keep_others_open(
    run_server: RunServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = Session.close
    failed: list[Session] = []

    async def fail_once(session: Session) -> None:
        await close(session)
        if not failed:
            failed.append(session)
            raise ZeroDivisionError("a bug")

    monkeypatch.setattr(Session, "close", fail_once)
    async with (
        run_server() as running,
        plain_peer(running.address) as one,
        plain_peer(running.address) as other,
    ):
        await one.hello(video="none")
        await other.hello(video="none")
        await asyncio.sleep(1.0)
        await other.is_answered()  # the other is silent from now on, and ends a second later
        await asyncio.sleep(1.6)
        assert running.server.session_count == 1
        await asyncio.sleep(1.5)
        assert failed
        assert running.server.session_count == 0


async def test_a_session_that_takes_long_to_close_does_not_hold_up_the_others(
    run_server: RunServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    close, gate = Session.close, asyncio.Event()

    async def wait(session: Session) -> None:
        await gate.wait()
        await close(session)

    monkeypatch.setattr(Session, "close", wait)
    async with (
        run_server() as running,
        plain_peer(running.address) as one,
        plain_peer(running.address) as other,
    ):
        await one.hello(video="none")
        await other.hello(video="none")
        await asyncio.sleep(3.0)
        left = running.server.session_count
        gate.set()
        assert left == 0


async def test_a_server_that_cannot_listen_leaves_nothing_open() -> None:
    engines = FakeEngines()
    engines.llm.gate.clear()  # closing opens it
    server = Server(QUICK, engines.handles(), Persona())
    with pytest.raises(ConfigError, match="cannot listen"):
        await server.open("tcp://127.0.0.1:none")
    assert engines.llm.gate.is_set()
