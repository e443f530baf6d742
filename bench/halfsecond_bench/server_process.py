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
from dataclasses import dataclass, field
from pathlib import Path

from halfsecond.errors import ServerError

READY_LIMIT_S = 60.0
KEPT_FAULTS = 20
KEPT_LINE_BYTES = 4096


@dataclass(frozen=True)
class RunningServer:
    """Where it listens, how long it took, and its process."""

    address: str
    ready_s: float
    """From the start of the process to its "ready" line."""
    pid: int
    faults: list[str] = field(default_factory=list)
    """Lines of its log that tell of an error, the first ones."""

    def rss_mb(self) -> float:
        """Resident memory now, in 10^6 bytes."""
        return self._status("VmRSS") * 1024 / 1e6

    def peak_rss_mb(self) -> float:
        """The most that was resident at any time."""
        return self._status("VmHWM") * 1024 / 1e6

    def threads(self) -> int:
        """Threads now."""
        return self._status("Threads")

    def open_files(self) -> int:
        """File descriptors now: sockets, pipes and files."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def cpu_s(self) -> float:
        """Processor time used so far, all threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _status(self, key: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(key + ":"):
                return int(line.split()[1])
        raise ServerError(f"the server (process {self.pid}) tells no {key}")


def machine_cpu_s() -> float:
    """Processor time that everything on this machine used so far, and what a hypervisor took."""
    user, nice, system, _, _, *interrupts_and_steal = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + sum(interrupts_and_steal)) / os.sysconf("SC_CLK_TCK")


@contextlib.asynccontextmanager
async def running_server(
    config_toml: str,
    *,
    program: Sequence[str] = ("halfsecond", "serve"),
    address: str = "",
) -> AsyncIterator[RunningServer]:
    """Starts `halfsecond serve` with this config, which must ask for a JSON log; stops it again.

    program: another module that takes the same options. address: where it listens; one of its
        own without.

    Raises:
        ServerError: it ended, or was not ready in time; with what it wrote.
    """
    with tempfile.TemporaryDirectory(prefix="halfsecond-bench-") as folder:
        config = Path(folder) / "halfsecond.toml"
        config.write_text(config_toml, encoding="utf-8")
        address = address or f"ipc://{folder}/server.ipc"
        started_s = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", *program, "--config", str(config), "--bind", address,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        drain: asyncio.Task[None] | None = None
        try:
            await _wait_until_ready(process)
            ready_s = time.monotonic() - started_s
            server = RunningServer(address, ready_s, process.pid)
            drain = asyncio.create_task(_drain(process, server.faults))
            yield server
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


async def _drain(process: asyncio.subprocess.Process, faults: list[str]) -> None:
    """Keeps the pipe empty, however long its lines; notes those that tell of an error."""
    assert process.stderr is not None
    line = b""
    while block := await process.stderr.read(65_536):
        *whole, line = (line + block).split(b"\n")
        line = line[:KEPT_LINE_BYTES]
        for text in (part[:KEPT_LINE_BYTES].decode(errors="replace") for part in whole):
            if _is_fault(text) and len(faults) < KEPT_FAULTS:
                faults.append(text)


def _is_fault(line: str) -> bool:
    """A log line of level "error", or the beginning of a traceback that nobody logged."""
    return '"level": "error"' in line or line.startswith("Traceback")
