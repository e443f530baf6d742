"""A server of its own process, as a user starts it: measured from outside."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from halfsecond.errors import ServerError

READY_LIMIT_S = 60.0


@dataclass(frozen=True)
class RunningServer:
    """Where it listens, how long it took, and its process."""

    address: str
    ready_s: float
    """From the start of the process to its "ready" line."""
    pid: int

    def rss_mb(self) -> float:
        """Resident memory now, in 10^6 bytes."""
        return self._status_kib("VmRSS") * 1024 / 1e6

    def peak_rss_mb(self) -> float:
        """The most that was resident at any time."""
        return self._status_kib("VmHWM") * 1024 / 1e6

    def cpu_s(self) -> float:
        """Processor time used so far, all threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _status_kib(self, key: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(key + ":"):
                return int(line.split()[1])
        raise ServerError(f"the server (process {self.pid}) tells no {key}")


@contextlib.asynccontextmanager
async def running_server(
    config_toml: str, *, program: Sequence[str] = ("halfsecond", "serve")
) -> AsyncIterator[RunningServer]:
    """Starts `halfsecond serve` with this config, which must ask for a JSON log; stops it again.

    program: another module that takes the same options.

    Raises:
        ServerError: it ended, or was not ready in time; with what it wrote.
    """
    with tempfile.TemporaryDirectory(prefix="halfsecond-bench-") as folder:
        config = Path(folder) / "halfsecond.toml"
        config.write_text(config_toml, encoding="utf-8")
        address = f"ipc://{folder}/server.ipc"
        started_s = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", *program, "--config", str(config), "--bind", address,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        drain: asyncio.Task[None] | None = None
        try:
            await _wait_until_ready(process)
            ready_s = time.monotonic() - started_s
            drain = asyncio.create_task(_drain(process))
            yield RunningServer(address, ready_s, process.pid)
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()
            if drain is not None:
                await drain


async def _wait_until_ready(process: asyncio.subprocess.Process) -> None:
    assert process.stderr is not None
    seen: list[str] = []
    try:
        async with _limit(READY_LIMIT_S):
            while line := (await process.stderr.readline()).decode():
                seen.append(line)
                with contextlib.suppress(json.JSONDecodeError):
                    if json.loads(line).get("event") == "ready":
                        return
    except asyncio.TimeoutError as error:
        raise ServerError(f"not ready within {READY_LIMIT_S:g} s: {''.join(seen)}") from error
    raise ServerError(f"the server ended: {''.join(seen)}")


@contextlib.asynccontextmanager
async def _limit(seconds: float) -> AsyncIterator[None]:
    """asyncio.timeout, which Python 3.10 does not have."""
    task = asyncio.current_task()
    assert task is not None
    expired = False

    def expire() -> None:
        nonlocal expired
        expired = True
        task.cancel()

    handle = asyncio.get_running_loop().call_later(seconds, expire)
    try:
        yield
    except asyncio.CancelledError:
        if expired:
            raise asyncio.TimeoutError from None
        raise
    finally:
        handle.cancel()


async def _drain(process: asyncio.subprocess.Process) -> None:
    """Keeps the pipe empty, however long its lines; the log itself is not needed."""
    assert process.stderr is not None
    while await process.stderr.read(65_536):
        pass
