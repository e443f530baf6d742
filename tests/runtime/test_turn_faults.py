"""What goes wrong inside a turn ends that turn: no state is stuck, no task is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from fakes.engines import FakeEngines, FakeLipSync, FakeVad
from fakes.servers import QUICK, RunServer
from halfsecond import wire
from halfsecond.bus.outbox import Outbox
from halfsecond.config import PhrasesConfig
from halfsecond.conversation import Visitor
from halfsecond.errors import StageError
from halfsecond.models.llm.persona import Persona
from halfsecond.stages.lipsync import LipSyncRequest, Picture
from halfsecond.stages.phrases import Phrases
from halfsecond.stages.session import Session
from halfsecond.stages.stage import Cancel
from halfsecond.stages.vad import VadReply, VadRequest

RATE_HZ = 16_000


def loud(seconds: float) -> bytes:
    return (10_000 * np.ones(int(seconds * RATE_HZ), np.int16)).tobytes()


def quiet(seconds: float) -> bytes:
    return bytes(2 * int(seconds * RATE_HZ))


async def opened(engines: FakeEngines) -> tuple[Session, Outbox]:
    """A session that is open, without a socket."""
    outbox, handles = Outbox(), engines.handles()
    await handles.open()
    hello = wire.Hello(video="none")
    session = Session(
        hello,
        name="s",
        config=QUICK,
        engines=handles,
        persona=Persona(),
        phrases=Phrases(PhrasesConfig()),
        outbox=outbox,
    )
    await session.prepare()
    session.start()
    return session, outbox


async def until(is_true: Callable[[], bool], timeout_s: float = 5.0) -> None:
    """Returns once it is so."""

    async def wait() -> None:
        while not is_true():  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    await asyncio.wait_for(wait(), timeout_s)


def tasks_of_turns() -> list[str]:
    names = (getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks())
    return [name for name in names if name in ("Session._run", "Session._watch")]


async def test_pauses_within_one_block_of_audio_leave_no_tasks_behind() -> None:
    engines = FakeEngines()
    session, _ = await opened(engines)
    engines.asr.gate.clear()
    block = loud(0.32) + quiet(0.096) + loud(0.32)
    for _ in range(5):
        assert session.hear(block)
    await until(lambda: session._listener.is_caught_up)
    await asyncio.sleep(0.2)
    # One draft may be in the making; those that were talked over are gone.
    assert len(tasks_of_turns()) <= 2
    engines.release()
    await session.close()


class SettlingLipSync(FakeLipSync):
    """Closes the mouth at the end of a stream, also of an empty one."""

    def run(self, request: LipSyncRequest, cancel: Cancel) -> Iterator[Picture]:
        if request.action == "finish":
            end = self.drawn[request.session]
            for number in range(end, end + 6):
                yield self._picture(number / 25, is_driven=False)
        yield from super().run(request, cancel)


async def test_an_answer_of_no_words_ends_its_turn(run_server: RunServer) -> None:
    engines = FakeEngines()
    engines.lipsync = SettlingLipSync()
    engines.llm.pieces = ()
    async with run_server(engines=engines) as running, running.client() as client:
        visitor = Visitor(client)
        exchange = await visitor.type("Hello?", timeout_s=3)
        assert exchange.reply.end is not None
        await visitor.close()


async def test_a_client_that_reports_the_end_again_and_again_does_not_hold_the_turn(
    run_server: RunServer,
) -> None:
    engines = FakeEngines()
    engines.lipsync = SettlingLipSync()
    async with run_server(engines=engines) as running, running.client() as client:
        visitor = Visitor(client)
        asking = asyncio.create_task(visitor.type("Hello?", timeout_s=6))
        while not asking.done():
            await client.report_playhead(turn=1, pts_s=60.0 if visitor.recorder.replies else 0.0)
            await asyncio.sleep(0.1)
        assert asking.result().reply.end is not None
        await visitor.close()


async def test_a_bug_in_a_turn_fails_the_turn_and_the_next_one_works(
    run_server: RunServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    async with run_server() as running, running.client() as client:
        visitor = Visitor(client)
        with monkeypatch.context() as patch:
            patch.setattr("halfsecond.stages.memory.build_messages", fail)
            failed = (await visitor.type("Hello?", timeout_s=3)).reply
        assert failed.end is not None
        assert failed.end.reason == "failed"
        assert "stage_failed" not in str(visitor.recorder.errors)
        assert any(error.startswith("internal") for error in visitor.recorder.errors)
        answered = (await visitor.type("Hello again?", timeout_s=5)).reply
        assert answered.end is not None
        assert answered.end.reason == "complete"
        await visitor.close()


class GoneVad(FakeVad):
    """Fails while `is_gone`."""

    is_gone = False

    def run(self, request: VadRequest, cancel: Cancel) -> Iterator[VadReply]:
        if self.is_gone:
            raise StageError("the VAD is gone")
        yield from super().run(request, cancel)


async def test_speech_is_cut_where_it_was_said_after_the_vad_was_away() -> None:
    engines = FakeEngines()
    vad = engines.vad = GoneVad()
    session, _ = await opened(engines)
    vad.is_gone = True
    session.hear(quiet(3.0))
    await until(lambda: session._listener.is_caught_up)
    await asyncio.sleep(0.05)
    vad.is_gone = False
    session.hear(quiet(1.0) + loud(0.64) + quiet(0.512))
    await until(lambda: bool(engines.asr.requests))
    length_s = len(engines.asr.requests[0].samples) / RATE_HZ
    # Pre-roll, speech and the silence after it; not the seconds that the VAD missed.
    assert length_s < 0.3 + 0.64 + 0.6
    await session.close()


async def test_a_vad_that_is_gone_does_not_keep_the_driver_of_a_session_that_ends() -> None:
    engines = FakeEngines()
    vad = engines.vad = GoneVad()
    handles = engines.handles()
    await handles.open()
    session = Session(
        wire.Hello(wants_idle=False),
        name="s",
        config=QUICK,
        engines=handles,
        persona=Persona(),
        phrases=Phrases(PhrasesConfig()),
        outbox=Outbox(),
    )
    await session.prepare()
    session.start()
    actions: list[str] = []
    run = engines.lipsync.run

    def note(request: LipSyncRequest, cancel: Cancel) -> Iterator[Picture]:
        actions.append(request.action)
        return run(request, cancel)

    engines.lipsync.run = note  # type: ignore[method-assign]
    vad.is_gone = True
    await session.close()
    assert "close" in actions
