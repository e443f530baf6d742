"""Servers and gateways in processes of their own, to be killed; and what must not be left then."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np

from fakes.uploads import jpeg_of, photo, traces, with_comment

SAY_LIMIT_S = 30
OPEN_TO_VISITORS = """\
[uploads]
takes_portraits = true
[gateway]
port = 0
"""


def mirrored() -> bytes:
    """The bundled portrait the other way round: another face, as far as pixels go."""
    image = cv2.imdecode(np.frombuffer(photo(), np.uint8), cv2.IMREAD_COLOR)
    return jpeg_of(np.ascontiguousarray(np.asarray(image)[:, ::-1]))


@dataclass
class Kept:
    """A photo with bytes that are nowhere else, and where to look for them."""

    folder: Path
    since_s: float = field(default_factory=lambda: time.time() - 1)
    secret: bytes = field(default_factory=lambda: secrets.token_hex(24).encode())

    def __post_init__(self) -> None:
        self.photo = with_comment(mirrored(), b"taken by " + self.secret)
        middle = len(self.photo) // 2
        self.needles = [self.secret, self.photo[middle : middle + 64]]

    @property
    def roots(self) -> list[Path]:
        """Everywhere that a program of this user writes to."""
        runtime = Path(os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}"))
        wide = [Path(tempfile.gettempdir()), Path("/dev/shm"), Path("/var/tmp"), runtime]
        home = [Path.home() / name for name in (".cache", ".local", ".config", ".halfsecond")]
        return [self.folder, *wide, *home]

    def found(self, *pids: int) -> list[str]:
        return traces(self.needles, roots=self.roots, since_s=self.since_s, pids=pids)


@dataclass
class Killable:
    """A server in a process of its own."""

    process: asyncio.subprocess.Process
    address: str

    async def says(self, pattern: str) -> str:
        """Waits for a line of its log; its first group, or all that fits."""
        assert self.process.stdout is not None
        told = b""
        with contextlib.suppress(asyncio.TimeoutError):
            while line := await asyncio.wait_for(self.process.stdout.readline(), SAY_LIMIT_S):
                told += line
                if found := re.search(pattern, line.decode()):
                    return found[found.lastindex or 0]
        raise AssertionError(f"no {pattern!r} in: {told.decode()}")

    async def kill(self) -> None:
        """As `kill -9` does, and nobody else is told."""
        self.process.kill()
        await self.process.wait()

    def workers(self) -> list[int]:
        """Processes that it has started."""
        pids = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
        return [pid for pid in pids if _stat(pid)[1:2] == [str(self.process.pid)]]

    def unread_bytes(self) -> int:
        """What came to its port and was not taken from there yet."""
        port = f":{urlsplit(self.address).port:04X}"
        rows = [line.split() for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]]
        established = "01"
        return sum(
            int(row[4].split(":")[1], 16)
            for row in rows
            if row[1].endswith(port) and row[3] == established
        )


def _stat(pid: int) -> list[str]:
    """State, parent and more of a process; nothing where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(") ", 1)[1].split()
    except OSError:
        return []


def is_running(pid: int) -> bool:
    """Whether there is such a process; a zombie is none."""
    return _stat(pid)[:1] not in ([], ["Z"])


async def until(condition: Callable[[], object]) -> None:
    """Waits for it, a minute at most."""
    for _ in range(12_000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not come to that")


def server_address(folder: Path) -> str:
    """Of the server with its socket in that folder."""
    return f"ipc://{folder}/server.ipc"


@asynccontextmanager
async def killable_server(folder: Path, face_models: Path) -> AsyncIterator[Killable]:
    """`fakes.upload_server` at a socket in the folder."""
    address = server_address(folder)
    async with _started("fakes.upload_server", address, str(face_models)) as process:
        server = Killable(process, address)
        await server.says("^ready$")
        yield server


@asynccontextmanager
async def killable_gateway(folder: Path, address: str) -> AsyncIterator[Killable]:
    """`halfsecond gateway` before the server at that address; `address` is its page's."""
    config = folder / "gateway.toml"
    config.write_text(OPEN_TO_VISITORS, encoding="utf-8")
    options = ("--config", str(config), "--connect", address)
    async with _started("halfsecond", "gateway", *options) as process:
        gateway = Killable(process, "")
        gateway.address = await gateway.says(r"page=(\S+)")
        yield gateway


@asynccontextmanager
async def _started(module: str, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A module of this checkout; it is killed at the end where it still runs."""
    path = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": path},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
