"""The face as a live stream: what a player gets of it, by RTMP and as HLS."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from fakes.engines import CLAUSE_S
from fakes.kiosk_pages import engines
from fakes.servers import QUICK, Running, RunServer
from halfsecond import wire
from halfsecond.client import Event, Received
from halfsecond.errors import ConfigError, ServerError
from halfsecond.gateway.broadcast import CREDIT, PLAYLIST, SOUND_RATE_HZ, Broadcast, Encoder

LIVELY = msgspec.structs.replace(QUICK, face=msgspec.structs.replace(QUICK.face, idle_fps=10))
FPS = 25


@dataclass
class Seen:
    """What was decoded: (n,) sound and its start, and of each picture its moment and its red."""

    sound: list[NDArray[np.float32]] = field(default_factory=list[Any])
    pictures: list[tuple[float, float]] = field(default_factory=list[Any])
    comment: str = ""

    def add(self, frame: Any) -> None:
        if isinstance(frame, av.AudioFrame):
            self.sound.append(np.asarray(frame.to_ndarray().reshape(-1), np.float32))
        else:
            red, green = frame.to_ndarray(format="rgb24")[..., :2].reshape(-1, 2).mean(axis=0)
            self.pictures.append((float(frame.time), float(red - green)))

    def spoken(self) -> tuple[float, float]:
        """Seconds at which sound begins and ends."""
        loud = np.flatnonzero(np.abs(np.concatenate(self.sound)) > 0.1)
        return loud[0] / SOUND_RATE_HZ, loud[-1] / SOUND_RATE_HZ

    def driven(self) -> tuple[float, float]:
        """Seconds at which the first red picture comes, and the first green one after it."""
        red = [at for at, redness in self.pictures if redness > 40]
        green = [at for at, redness in self.pictures if redness < 0 and at > red[-1]]
        return red[0], green[0]


def watch(source: str, **options: Any) -> Seen:
    seen = Seen()
    with av.open(source, **options) as container:
        seen.comment = str(container.metadata)
        for frame in container.decode(video=0, audio=0):
            seen.add(frame)
    return seen


async def answered(server: Running, target: str, *, fps: int | None = None) -> None:
    """Streams at rest, through one answer, and at rest again."""
    client = server.client(video="rgb", credit=CREDIT, fps=fps)
    async with client:
        rested, states = asyncio.Event(), list[str]()

        def follow(event: Event) -> None:
            if isinstance(event, Received) and isinstance(event.message, wire.StateChange):
                states.append(event.message.state)
                if states[-2:] == ["speaking", "idle"]:
                    rested.set()

        running = asyncio.create_task(Broadcast(client, target).run(follow))
        await asyncio.sleep(0.6)
        await client.ask("When do you close?")
        await asyncio.wait_for(rested.wait(), 10)
        await asyncio.sleep(0.8)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("fps", [25, 30])
async def test_hls_has_the_answer_with_its_pictures_in_time(
    run_server: RunServer, tmp_path: Path, fps: int
) -> None:
    async with run_server(LIVELY, engines()) as server:
        await answered(server, str(tmp_path / "hls"), fps=fps)
    playlist = (tmp_path / "hls" / PLAYLIST).read_text("utf-8")
    assert "#EXTINF" in playlist
    seen = watch(str(tmp_path / "hls" / PLAYLIST))
    begins_s, ends_s = seen.spoken()
    assert ends_s - begins_s > CLAUSE_S - 0.05
    first_s, after_s = seen.driven()
    assert abs(first_s - begins_s) < 1 / fps + 0.03  # AAC's own window is 21 ms
    assert -0.03 < after_s - ends_s < 0.35  # a resting picture comes every 100 ms
    moments = np.array([at for at, _ in seen.pictures])
    np.testing.assert_allclose(np.diff(moments), 1 / fps, atol=1e-3)


def write_hls(folder: Path, *, seconds: int) -> None:
    encoder = Encoder(str(folder), size=(64, 64), fps=FPS)
    for number in range(seconds * FPS):
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 960), np.int16), "s16", "mono")
        sound.sample_rate, sound.pts = 24_000, number * 960
        encoder.write_sound(sound)
        encoder.write_picture(np.zeros((64, 64, 3), np.uint8), number)
    encoder.close()


def test_a_folder_for_hls_is_closed_to_other_users_unless_it_was_there(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write_hls(tmp_path / "new", seconds=1)
        (tmp_path / "old").mkdir(mode=0o755)
        write_hls(tmp_path / "old", seconds=1)
    finally:
        os.umask(before)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "old").stat().st_mode & 0o777 == 0o755


def test_of_an_earlier_stream_nothing_is_left_once_the_next_begins(tmp_path: Path) -> None:
    write_hls(tmp_path, seconds=40)
    named = {path.name for path in tmp_path.glob("*.ts")}
    listed = set(re.findall(r"live\d+\.ts", (tmp_path / PLAYLIST).read_text("utf-8")))
    # While it ran, what had left the playlist was deleted, one segment later; the end stays.
    assert len(listed) == 6
    assert listed <= named
    assert len(named) <= 8
    assert "live0.ts" not in named
    (tmp_path / "liver.ts").touch()  # not ours
    write_hls(tmp_path, seconds=3)
    assert {path.name for path in tmp_path.glob("*.ts")} == {"live0.ts", "live1.ts", "liver.ts"}


LISTEN = """\
import sys, av
with av.open(sys.argv[1], options={"listen": "1"}, timeout=20) as pushed, \
     av.open(sys.argv[2], "w") as stored:
    stored.metadata["comment"] = pushed.metadata["comment"]
    kept = {stream.index: stored.add_stream_from_template(stream) for stream in pushed.streams}
    try:
        for packet in pushed.demux():
            if packet.dts is not None:
                packet.stream = kept[packet.stream.index]
                stored.mux(packet)
    except OSError:
        pass  # the pusher has hung up
"""
"""An RTMP server of one client, in a process of its own: FFmpeg waits with Python's lock held."""


def _listens(port: int) -> bool:
    """Whether somebody does, without taking the one place."""
    lines = Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]
    listening = "0A"
    return any(
        line.split()[3] == listening and line.split()[1].endswith(f":{port:04X}") for line in lines
    )


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs Linux's list of sockets")
async def test_rtmp_is_pushed_to_a_server_that_listens(
    run_server: RunServer, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    address, stored = f"rtmp://127.0.0.1:{port}/live/face", tmp_path / "stored.mkv"
    listening = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LISTEN, address, str(stored), stderr=asyncio.subprocess.PIPE
    )
    while not _listens(port):
        assert listening.returncode is None
        await asyncio.sleep(0.02)
    async with run_server(LIVELY, engines()) as server:
        await answered(server, address)
    _, told = await asyncio.wait_for(listening.communicate(), 20)
    assert listening.returncode == 0, told.decode()
    seen = watch(str(stored))
    begins_s, _ = seen.spoken()
    assert abs(seen.driven()[0] - begins_s) < 0.1
    assert "Synthetic" in seen.comment


async def test_a_target_that_does_not_answer_is_told(run_server: RunServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    for target in ("rtmp://127.0.0.1:9/live/face", str(tmp_path / "file")):
        async with (
            run_server(LIVELY, engines()) as server,
            server.client(video="rgb", credit=CREDIT) as client,
        ):
            with pytest.raises(ConfigError, match="nothing can be streamed to"):
                await asyncio.wait_for(Broadcast(client, target).run(), 10)


class SlowEncoder(Encoder):
    """Takes longer for a picture than it is shown."""

    def write_picture(self, pixels: NDArray[np.uint8], number: int) -> None:
        threading.Event().wait(0.06)
        super().write_picture(pixels, number)


class BrokenEncoder(Encoder):
    """Breaks off at the third picture."""

    def write_picture(self, pixels: NDArray[np.uint8], number: int) -> None:
        if number == 3:
            raise BrokenPipeError(32, "Broken pipe")
        super().write_picture(pixels, number)


async def test_an_encoder_that_is_behind_loses_pictures_and_no_sound(
    run_server: RunServer, tmp_path: Path
) -> None:
    async with (
        run_server(LIVELY, engines()) as server,
        server.client(video="rgb", credit=CREDIT) as client,
    ):
        broadcast = Broadcast(client, str(tmp_path), open_encoder=SlowEncoder)
        running = asyncio.create_task(broadcast.run())
        await asyncio.sleep(3.5)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert broadcast.left_out > 0
    seen = watch(str(tmp_path / PLAYLIST))
    assert sum(map(len, seen.sound)) / SOUND_RATE_HZ > 3.0
    assert len(seen.pictures) < 3.0 * FPS


async def test_a_stream_that_breaks_off_is_told(run_server: RunServer, tmp_path: Path) -> None:
    async with (
        run_server(LIVELY, engines()) as server,
        server.client(video="rgb", credit=CREDIT) as client,
    ):
        broadcast = Broadcast(client, str(tmp_path), open_encoder=BrokenEncoder)
        with pytest.raises(ServerError, match=r"broke off: .*Broken pipe"):
            await asyncio.wait_for(broadcast.run(), 10)
