"""Where files of visitors are looked at: one after another, each in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys

import msgspec
import structlog

from halfsecond.deadline import within
from halfsecond.uploads.job import Job, Made

log = structlog.get_logger(__name__)

Command = tuple[str, ...]
COMMAND: Command = (sys.executable, "-m", "halfsecond.uploads.worker")
TOO_SLOW = Made(
    reason="too_slow",
    message="it took too long to look at this file; give a smaller one, or save it again",
)
FAILED = Made(
    reason="failed",
    message="this file could not be looked at; save it again as JPEG (a recording as WAV)",
)


class Workshop:
    """Starts a worker for each job. On the event loop, which waits for nothing here."""

    def __init__(
        self,
        models: dict[str, str],
        *,
        most_megapixels: float,
        time_limit_s: float,
        command: Command = COMMAND,
    ) -> None:
        """models: verified directories of what files are looked at with, by the catalog's names."""
        self._models = models
        self._most_megapixels = most_megapixels
        self._time_limit_s = time_limit_s
        self._command = command
        self._turn = asyncio.Lock()
        self.pid: int | None = None
        """Of the worker that runs; None where none does."""

    async def make(self, job: Job) -> Made:
        """What becomes of the file; `models` and limits are the workshop's. Cancelling ends it."""
        job = msgspec.structs.replace(
            job, models=self._models, most_megapixels=self._most_megapixels
        )
        async with self._turn:
            try:
                return await self._run(job)
            except asyncio.TimeoutError:
                return TOO_SLOW

    async def _run(self, job: Job) -> Made:
        process = await asyncio.create_subprocess_exec(
            *self._command,
            str(os.getpid()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        self.pid = process.pid
        try:
            sending = process.communicate(msgspec.msgpack.encode(job))
            answer, _ = await within(self._time_limit_s, sending)
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
            self.pid = None
        try:
            return msgspec.msgpack.decode(answer, type=Made)
        except msgspec.DecodeError:
            log.error("a file could not be looked at", kind=job.kind, status=process.returncode)
            return FAILED
