"""What systemd is told: that the server is ready, and a beat only while every engine gets on."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from halfsecond.heartbeat import Heartbeat
from halfsecond.stages.local import LocalStage
from halfsecond.stages.remote import RemoteStage
from halfsecond.stages.stage import Cancel
from halfsecond.systemd import ServiceManager


class Manager:
    """systemd's end of NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.settimeout(20)

    def heard(self) -> dict[str, str]:
        """The next message."""
        return dict(line.split("=", 1) for line in self._socket.recv(4096).decode().splitlines())

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(str(tmp_path / "notify"))
    yield manager
    manager.close()


class Engine:
    """Works for as long as its gate is shut."""

    name: ClassVar[str] = "tts"
    request_type: ClassVar[Any] = str
    reply_type: ClassVar[Any] = str

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.is_working = threading.Event()

    def open(self) -> None:
        pass

    def run(self, request: str, cancel: Cancel) -> Iterator[str]:
        self.is_working.set()
        self.gate.wait(10)
        yield request

    def health(self) -> str:
        return "engine"

    def close(self) -> None:
        self.gate.set()


def test_a_process_without_a_manager_tells_nothing() -> None:
    manager = ServiceManager.of({})
    assert manager.watchdog_s is None
    manager.ready("to nobody")


def test_readiness_and_the_end_are_told_as_sd_notify_does(manager: Manager) -> None:
    service = ServiceManager.of({"NOTIFY_SOCKET": manager.address})
    service.ready("two\nlines")
    service.stopping()
    assert manager.heard() == {"READY": "1", "STATUS": "two lines"}
    assert manager.heard() == {"STOPPING": "1"}


def test_an_abstract_socket_is_found_by_its_at_sign() -> None:
    manager = Manager(f"@halfsecond-test-{os.getpid()}")
    ServiceManager(manager.address).beat("here")
    assert manager.heard() == {"WATCHDOG": "1", "STATUS": "here"}
    manager.close()


def test_a_manager_that_is_gone_does_not_end_the_service(tmp_path: Path) -> None:
    ServiceManager(str(tmp_path / "nobody")).beat("still here")


def test_the_watchdog_of_another_process_is_not_ours() -> None:
    watched = {"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "7"}
    assert ServiceManager.of(watched, pid=7).watchdog_s == 20.0
    assert ServiceManager.of(watched, pid=8).watchdog_s is None


async def test_it_beats_while_the_engine_gets_on_and_not_once_it_hangs(manager: Manager) -> None:
    now_s = 100.0
    engine = Engine()
    stage: LocalStage[str, str] = LocalStage(engine, now=lambda: now_s)
    await stage.open()
    heart = Heartbeat([stage], ServiceManager(manager.address), stuck_s=60.0)
    await heart.beat()
    assert manager.heard() == {"WATCHDOG": "1", "STATUS": "ready"}

    async def ask() -> list[str]:
        return [reply async for reply in stage.run("word", Cancel())]

    asking = asyncio.create_task(ask())
    await asyncio.to_thread(engine.is_working.wait, 5)
    now_s += 59.0
    await heart.beat()
    assert "WATCHDOG" in manager.heard()
    now_s += 2.0
    await heart.beat()
    assert manager.heard() == {"STATUS": "stage tts has given nothing for 61 s"}

    engine.gate.set()
    assert await asking == ["word"]
    await heart.beat()
    assert manager.heard() == {"WATCHDOG": "1", "STATUS": "ready"}
    await stage.close()


async def test_a_stage_that_was_closed_stops_the_beat(manager: Manager) -> None:
    stage: LocalStage[str, str] = LocalStage(Engine())
    await Heartbeat([stage], ServiceManager(manager.address)).beat()
    assert manager.heard() == {"STATUS": "stage tts is not ready: not open"}


async def test_a_stage_of_another_machine_that_is_away_is_told_but_stops_no_beat(
    manager: Manager, tmp_path: Path
) -> None:
    here: LocalStage[str, str] = LocalStage(Engine())
    await here.open()
    address = f"ipc://{tmp_path}/face.ipc"
    away: RemoteStage[str, str] = RemoteStage(
        "lipsync", address, reply_type=str, silence_limit_s=0.05
    )
    with pytest.raises(Exception, match="does not answer"):
        await away.open()
    await Heartbeat([here, away], ServiceManager(manager.address)).beat()
    told = manager.heard()
    assert told["WATCHDOG"] == "1"
    assert "lipsync does not answer" in told["STATUS"]
    await here.close()
    await away.close()


def test_a_server_tells_that_it_is_ready_beats_and_says_that_it_stops(
    manager: Manager, tmp_path: Path
) -> None:
    config = tmp_path / "quick.toml"
    config.write_text('[echo]\nkind = "none"\n')
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "halfsecond_bench.instant_server"),
            *("--config", str(config), "--bind", f"ipc://{tmp_path}/server.ipc"),
        ],
        env={
            **os.environ,
            "NOTIFY_SOCKET": manager.address,
            "WATCHDOG_USEC": "400000",
        },
        stderr=subprocess.DEVNULL,
    )
    try:
        assert manager.heard() == {
            "READY": "1",
            "STATUS": f"ready at ipc://{tmp_path}/server.ipc",
        }
        assert [manager.heard()["WATCHDOG"] for _ in range(3)] == ["1", "1", "1"]
        process.send_signal(signal.SIGTERM)
        while "STOPPING" not in (told := manager.heard()):
            assert told["WATCHDOG"] == "1"
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
