"""One contract for a stage in this process, at ipc:// and at tcp://."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from halfsecond.errors import ConfigError, PortraitError, StageError
from halfsecond.stages.host import StageHost
from halfsecond.stages.local import LocalStage
from halfsecond.stages.remote import RemoteStage
from halfsecond.stages.stage import Cancel, StageHandle

Handle = StageHandle[Any, Any]


@dataclass(frozen=True)
class Work:
    samples: NDArray[np.float32]
    pieces: int = 1
    fault: str = ""


@dataclass(frozen=True)
class Piece:
    number: int
    total: float
    picture: NDArray[np.uint8]


class CountingStage:
    """Sums its input, in as many pieces as it is asked for."""

    name: ClassVar[str] = "counting"
    request_type: ClassVar[Any] = Work
    reply_type: ClassVar[Any] = Piece

    def __init__(self) -> None:
        self.made = 0
        self.gate = threading.Event()
        self.gate.set()
        self.threads: set[str] = set()
        self.is_closed = False

    def open(self) -> None:
        self.threads.add(threading.current_thread().name)

    def run(self, request: Work, cancel: Cancel) -> Iterator[Piece]:
        self.threads.add(threading.current_thread().name)
        if request.fault == "ours":
            raise PortraitError("found no face; take a picture from the front")
        if request.fault == "bug":
            raise ZeroDivisionError("a bug")
        for number in range(request.pieces):
            if cancel.is_set():
                return
            self.made += 1
            yield Piece(number, float(request.samples.sum()), np.full((2, 3, 3), number, np.uint8))
            if number:
                self.gate.wait(5)

    def health(self) -> str:
        return f"{self.made} made"

    def close(self) -> None:
        self.is_closed = True


@asynccontextmanager
async def opened(kind: str, stage: CountingStage, folder: Path) -> AsyncIterator[Handle]:
    handle: Handle
    if kind == "local":
        handle, host = LocalStage(stage), None
    else:
        address = f"ipc://{folder}/stage.ipc" if kind == "ipc" else "tcp://127.0.0.1:*"
        host = StageHost(stage, address)
        handle = RemoteStage("counting", await host.open(), reply_type=Piece)
    await handle.open()
    try:
        yield handle
    finally:
        stage.gate.set()
        await handle.close()
        if host is not None:
            await host.close()


@pytest.fixture(params=["local", "ipc", "tcp"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_replies_come_in_order_with_their_arrays(kind: str, tmp_path: Path) -> None:
    samples = np.linspace(0, 1, 1000, dtype=np.float32)
    async with opened(kind, CountingStage(), tmp_path) as handle:
        pieces = [piece async for piece in handle.run(Work(samples, pieces=5), Cancel())]
    assert [piece.number for piece in pieces] == [0, 1, 2, 3, 4]
    assert pieces[0].total == pytest.approx(float(samples.sum()))
    assert pieces[3].picture.dtype == np.uint8
    assert pieces[3].picture.tolist() == np.full((2, 3, 3), 3).tolist()


async def test_requests_wait_their_turn_on_one_thread(kind: str, tmp_path: Path) -> None:
    stage = CountingStage()
    ones = np.ones(4, np.float32)

    async def ask(handle: Handle, factor: float) -> list[float]:
        work = Work(factor * ones, pieces=3)
        return [piece.total async for piece in handle.run(work, Cancel())]

    async with opened(kind, stage, tmp_path) as handle:
        answers = await asyncio.gather(*(ask(handle, factor) for factor in range(6)))
    assert answers == [[4.0 * factor] * 3 for factor in range(6)]
    assert len(stage.threads) == 1


async def test_our_errors_arrive_as_they_were_raised(kind: str, tmp_path: Path) -> None:
    async with opened(kind, CountingStage(), tmp_path) as handle:
        with pytest.raises(PortraitError, match="take a picture from the front"):
            async for _ in handle.run(Work(np.ones(1, np.float32), fault="ours"), Cancel()):
                pass


async def test_a_bug_becomes_a_stage_error_and_the_stage_goes_on(kind: str, tmp_path: Path) -> None:
    async with opened(kind, CountingStage(), tmp_path) as handle:
        with pytest.raises(StageError, match="counting failed: ZeroDivisionError: a bug"):
            async for _ in handle.run(Work(np.ones(1, np.float32), fault="bug"), Cancel()):
                pass
        after = [p.total async for p in handle.run(Work(np.ones(2, np.float32)), Cancel())]
    assert after == [2.0]


async def test_a_cancelled_request_stops_within_a_piece(kind: str, tmp_path: Path) -> None:
    stage = CountingStage()
    stage.gate.clear()
    cancel = Cancel()
    async with opened(kind, stage, tmp_path) as handle:
        async for piece in handle.run(Work(np.ones(1, np.float32), pieces=1000), cancel):
            if piece.number == 1:
                cancel.set()
                break
        # The stage is still at its second piece; a later request shows that it has let go.
        await asyncio.wait_for(handle.health(), 5)
        stage.gate.set()
        async for _ in handle.run(Work(np.ones(1, np.float32)), Cancel()):
            pass
    assert stage.made <= 4


async def test_leaving_the_replies_early_cancels_the_request(kind: str, tmp_path: Path) -> None:
    stage = CountingStage()
    stage.gate.clear()
    async with opened(kind, stage, tmp_path) as handle:
        replies = handle.run(Work(np.ones(1, np.float32), pieces=1000), Cancel())
        assert (await replies.__anext__()).number == 0
        await replies.aclose()  # type: ignore[attr-defined]
        await asyncio.wait_for(handle.health(), 5)
        stage.gate.set()
        async for _ in handle.run(Work(np.ones(1, np.float32)), Cancel()):
            pass
    assert stage.made <= 4


async def test_health_answers_while_the_engine_works(kind: str, tmp_path: Path) -> None:
    stage = CountingStage()
    stage.gate.clear()
    async with opened(kind, stage, tmp_path) as handle:
        replies = handle.run(Work(np.ones(1, np.float32), pieces=3), Cancel())
        await replies.__anext__()
        health = await asyncio.wait_for(handle.health(), 2)
        await replies.aclose()  # type: ignore[attr-defined]
    assert (health.stage, health.is_ready) == ("counting", True)
    assert "made" in health.detail


async def test_a_closed_stage_says_so(kind: str, tmp_path: Path) -> None:
    async with opened(kind, CountingStage(), tmp_path) as handle:
        pass
    with pytest.raises(StageError, match="stage counting is closed"):
        async for _ in handle.run(Work(np.ones(1, np.float32)), Cancel()):
            pass


async def test_a_stage_that_is_not_there_is_named_with_the_command_that_starts_it(
    tmp_path: Path,
) -> None:
    handle: Handle = RemoteStage(
        "lipsync", f"ipc://{tmp_path}/none.ipc", reply_type=Piece, silence_limit_s=0.2
    )
    with pytest.raises(StageError, match=r"halfsecond serve --stage lipsync --bind ipc://"):
        await handle.open()
    await handle.close()


async def test_a_stage_does_not_listen_to_the_world_without_keys() -> None:
    host = StageHost(CountingStage(), "tcp://0.0.0.0:*")
    with pytest.raises(ConfigError, match="halfsecond keys"):
        await host.open()


async def test_an_address_that_is_taken_is_not_taken_over(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/stage.ipc"
    first = StageHost(CountingStage(), address)
    await first.open()
    with pytest.raises(ConfigError, match="another server listens"):
        await StageHost(CountingStage(), address).open()
    handle: Handle = RemoteStage("counting", address, reply_type=Piece)
    await handle.open()
    assert (await handle.health()).is_ready
    await handle.close()
    await first.close()
    again = StageHost(CountingStage(), address)  # what is left behind is no server
    await again.open()
    await again.close()
