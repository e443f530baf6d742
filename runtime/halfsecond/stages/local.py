"""A stage in this process: one worker thread, called directly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic

from halfsecond.errors import HalfsecondError, StageError
from halfsecond.metrics import METRICS
from halfsecond.stages.stage import Cancel, Health, Reply, Request, Stage
from halfsecond.timeline import Now, current_wait, monotonic

_END = object()


class LocalStage(Generic[Request, Reply]):
    """Runs a stage on a thread of its own; arrays and exceptions pass as they are."""

    def __init__(self, stage: Stage[Request, Reply], *, now: Now = monotonic) -> None:
        self._stage = stage
        self._now = now
        self._busy_since_s: float | None = None
        """When the request in work began, or gave its last reply; set by the worker alone."""
        self._worker = ThreadPoolExecutor(1, thread_name_prefix=stage.name)
        self._queued = 0
        self._is_open = False

    @property
    def name(self) -> str:
        return self._stage.name

    async def open(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._worker, self._stage.open)
        self._is_open = True

    async def run(self, request: Request, cancel: Cancel) -> AsyncIterator[Reply]:
        loop = asyncio.get_running_loop()
        wait = current_wait.get()
        queued = METRICS.stage_queued.labels(self.name)
        replies: asyncio.Queue[Any] = asyncio.Queue()
        abandoned = Cancel()

        def post(item: Any) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(replies.put_nowait, item)

        def work() -> None:
            if wait is not None:
                wait.end()
            self._work(request, cancel, abandoned, post)

        try:
            self._worker.submit(work)
        except RuntimeError as error:
            raise StageError(f"stage {self.name} is closed") from error
        self._queued += 1
        queued.inc()
        try:
            while (item := await replies.get()) is not _END:
                if isinstance(item, _Failure):
                    raise item.error
                yield item
        finally:
            abandoned.set()
            self._queued -= 1
            queued.dec()

    def _work(self, request: Request, cancel: Cancel, abandoned: Cancel, post: Any) -> None:
        try:
            if cancel.is_set() or abandoned.is_set():
                return
            self._busy_since_s = self._now()
            for reply in self._stage.run(request, cancel):
                self._busy_since_s = self._now()
                post(reply)
                if cancel.is_set() or abandoned.is_set():
                    break
        except HalfsecondError as error:
            post(_Failure(error))
        except Exception as error:
            failure = StageError(f"stage {self.name} failed: {type(error).__name__}: {error}")
            failure.__cause__ = error
            post(_Failure(failure))
        finally:
            self._busy_since_s = None
            post(_END)

    async def health(self) -> Health:
        busy_since_s = self._busy_since_s
        return Health(
            stage=self.name,
            is_ready=self._is_open,
            detail=self._stage.health() if self._is_open else "not open",
            queued=self._queued,
            busy_s=0.0 if busy_since_s is None else self._now() - busy_since_s,
        )

    async def close(self) -> None:
        if self._is_open:
            self._is_open = False
            await asyncio.get_running_loop().run_in_executor(self._worker, self._stage.close)
        self._worker.shutdown(wait=True, cancel_futures=True)


class _Failure:
    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error
