"""A stage's host that comes back, is asked nonsense, or knows nothing of the sessions before it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import zmq
import zmq.asyncio
from numpy.typing import NDArray

from halfsecond.errors import StageError
from halfsecond.models.lipsync.driver import Frame, LipSync
from halfsecond.models.lipsync.mood import MoodName
from halfsecond.models.tts.voice import Phone
from halfsecond.stages.host import FAILURE, RUN, StageHost
from halfsecond.stages.lipsync import LipSyncRequest, LipSyncStage, Picture
from halfsecond.stages.remote import RemoteStage
from halfsecond.stages.stage import Cancel


class SlowStage:
    """Says one word, and the next when its gate opens."""

    name: ClassVar[str] = "slow"
    request_type: ClassVar[Any] = str
    reply_type: ClassVar[Any] = str

    def __init__(self) -> None:
        self.gate = threading.Event()

    def open(self) -> None:
        pass

    def run(self, request: str, cancel: Cancel) -> Iterator[str]:
        yield f"{request} one"
        self.gate.wait(10)
        yield f"{request} two"

    def health(self) -> str:
        return "slow"

    def close(self) -> None:
        self.gate.set()


async def test_a_request_that_a_restarted_host_knows_nothing_of_fails(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/stage.ipc"
    first, second = SlowStage(), SlowStage()
    host = StageHost(first, address)
    await host.open()
    handle: RemoteStage[str, str] = RemoteStage("slow", address, reply_type=str)
    await handle.open()
    replies = handle.run("a", Cancel())
    assert await asyncio.wait_for(anext(replies), 5) == "a one"
    first.gate.set()
    await host.close()
    host = StageHost(second, address)
    await host.open()
    with pytest.raises(StageError, match="lost"):
        while True:
            await asyncio.wait_for(anext(replies), 8)
    second.gate.set()
    assert [reply async for reply in handle.run("b", Cancel())] == ["b one", "b two"]
    await handle.close()
    await host.close()


async def test_a_request_that_takes_longer_than_a_probe_is_not_taken_for_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("halfsecond.stages.remote.PROBE_INTERVAL_S", 0.02)
    stage = SlowStage()
    host = StageHost(stage, f"ipc://{tmp_path}/stage.ipc")
    handle: RemoteStage[str, str] = RemoteStage("slow", await host.open(), reply_type=str)
    await handle.open()
    asyncio.get_running_loop().call_later(0.3, stage.gate.set)
    assert [reply async for reply in handle.run("a", Cancel())] == ["a one", "a two"]
    await handle.close()
    await host.close()


@pytest.mark.parametrize("body", [b"\xa1\xff", b"\xc1", b"", b"\x91" * 5000])
async def test_a_request_that_cannot_be_read_is_answered_with_its_failure(
    body: bytes, tmp_path: Path
) -> None:
    host = StageHost(SlowStage(), f"ipc://{tmp_path}/stage.ipc")
    address = await host.open()
    context = zmq.asyncio.Context()
    socket = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.LINGER, 0)
    socket.connect(address)
    await socket.send_multipart([b"1", RUN, body])
    assert (await asyncio.wait_for(socket.recv_multipart(), 3))[:2] == [b"1", FAILURE]
    socket.close()
    context.term()
    await host.close()


class StillFace:
    """A driver with one picture for each stretch of speech."""

    fps = 25
    size = (8, 8)
    avatar = ""

    def feel(self, mood: MoodName) -> None:
        pass

    def begin(self) -> None:
        pass

    def feed(
        self, samples: NDArray[np.float32], *, phones: Sequence[Phone] = ()
    ) -> Iterator[Frame]:
        yield Frame(np.zeros((8, 8, 3), np.uint8), 0.0, 0.0, True)

    def skip(self, before_s: float) -> None:
        pass

    def finish(self) -> Iterator[Frame]:
        yield from ()

    def idle(self) -> Frame:
        return Frame(np.zeros((8, 8, 3), np.uint8), 0.0, 0.0, False)

    def idle_jpeg(self) -> bytes | None:
        return None

    def close(self) -> None:
        pass


def test_a_session_of_before_the_restart_has_a_face_from_its_next_answer_on() -> None:
    def open_drivers() -> Any:
        def open_driver(avatar: str = "", *, fps: int | None = None) -> LipSync:
            return StillFace()

        return open_driver

    stage = LipSyncStage(open_drivers, jpeg_quality=80, label="still")
    stage.open()

    def run(action: Any) -> list[Picture]:
        return list(stage.run(LipSyncRequest("of before", action), Cancel()))

    with pytest.raises(StageError):
        run("feed")  # of a stream that this driver has not seen the beginning of
    run("begin")
    assert len(run("feed")) == 1
    run("close")
    assert len(run("idle")) == 1


def test_closing_a_session_that_is_not_there_is_no_failure() -> None:
    stage = LipSyncStage(
        lambda: lambda avatar="", *, fps=None: StillFace(), jpeg_quality=80, label="still"
    )
    stage.open()
    assert list(stage.run(LipSyncRequest("of before", "close"), Cancel())) == []
