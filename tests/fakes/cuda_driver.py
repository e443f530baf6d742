"""NVIDIA's driver without a GPU: every call is noted, and memory of the "GPU" is the host's.

So what sessions queue is really computed and copied, and whatever they forget is seen: memory that
was not freed, an array that was not uploaded, a graph that was replayed with an old address.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any

import numpy as np


class CUresult(IntEnum):
    CUDA_SUCCESS = 0
    CUDA_ERROR_OUT_OF_MEMORY = 2
    CUDA_ERROR_NO_DEVICE = 100


class CUmemorytype(IntEnum):
    CU_MEMORYTYPE_DEVICE = 2


class CUstreamCaptureMode(IntEnum):
    CU_STREAM_CAPTURE_MODE_GLOBAL = 0
    CU_STREAM_CAPTURE_MODE_THREAD_LOCAL = 1


class CUDA_MEMCPY2D:  # noqa: N801
    """The fields that are set; any other is an AttributeError."""

    __slots__ = (
        "Height", "WidthInBytes", "dstDevice", "dstMemoryType", "dstPitch", "srcDevice",
        "srcMemoryType", "srcPitch",
    )  # fmt: skip

    def __init__(self) -> None:
        for name in self.__slots__:
            setattr(self, name, 0)


class Handle:
    """A CUstream, CUevent or CUdeviceptr: an object that is a number too."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __int__(self) -> int:
        return self.number


LEAST_PRIORITY, GREATEST_PRIORITY = 0, -5

Work = Callable[[], object]


class FakeDriver:
    """`cuda.bindings.driver`. `calls` has the name and arguments of each call, numbers as int.

    failing: the name of a call that answers CUDA_ERROR_OUT_OF_MEMORY.
    """

    CUmemorytype = CUmemorytype
    CUstreamCaptureMode = CUstreamCaptureMode
    CUDA_MEMCPY2D = CUDA_MEMCPY2D

    def __init__(self, *, devices: int = 1, failing: str = "") -> None:
        self.devices = devices
        self.failing = failing
        self.calls: list[tuple[str, tuple[int, ...]]] = []
        self.memory: dict[int, Any] = {}
        """What was allocated and not freed, by its address."""
        self.streams: dict[int, int] = {}
        """Priorities of the streams that are open."""
        self.graphs: dict[int, list[Work]] = {}
        self.clock_ms = 0.0
        self._times_ms: dict[int, float] = {}
        self._captured: list[Work] | None = None
        self._next = 0x1000

    def names(self, *wanted: str) -> list[str]:
        """The calls in their order, or those of these names."""
        return [name for name, _ in self.calls if not wanted or name in wanted]

    def arguments(self, name: str) -> list[tuple[int, ...]]:
        """What each call of this name was given."""
        return [given for called, given in self.calls if called == name]

    def queue(self, stream: int, work: Work) -> None:
        """What a kernel does: at once, or when the graph is launched that is being captured."""
        assert stream in self.streams, f"work on the stream {stream}, which nobody made"
        if self._captured is not None:
            self._captured.append(work)
        else:
            work()

    @property
    def is_capturing(self) -> bool:
        return self._captured is not None

    def _note(self, name: str, *arguments: Any) -> CUresult:
        self.calls.append((name, tuple(int(each) for each in arguments)))
        if name == self.failing:
            return CUresult.CUDA_ERROR_OUT_OF_MEMORY
        return CUresult.CUDA_SUCCESS

    def _new(self) -> Handle:
        self._next += 0x10
        return Handle(self._next)

    def cuInit(self, flags: int) -> tuple[CUresult]:
        return (self._note("cuInit", flags),)

    def cuDeviceGet(self, index: int) -> tuple[CUresult, int]:
        code = self._note("cuDeviceGet", index)
        return (code if index < self.devices else CUresult.CUDA_ERROR_NO_DEVICE), index

    def cuDevicePrimaryCtxRetain(self, device: int) -> tuple[CUresult, Handle]:
        return self._note("cuDevicePrimaryCtxRetain", device), Handle(7)

    def cuDevicePrimaryCtxRelease(self, device: int) -> tuple[CUresult]:
        return (self._note("cuDevicePrimaryCtxRelease", device),)

    def cuCtxSetCurrent(self, context: Handle) -> tuple[CUresult]:
        return (self._note("cuCtxSetCurrent", context),)

    def cuCtxGetStreamPriorityRange(self) -> tuple[CUresult, int, int]:
        return self._note("cuCtxGetStreamPriorityRange"), LEAST_PRIORITY, GREATEST_PRIORITY

    def cuStreamCreateWithPriority(self, flags: int, priority: int) -> tuple[CUresult, Handle]:
        stream = self._new()
        self.streams[int(stream)] = priority
        return self._note("cuStreamCreateWithPriority", flags, priority), stream

    def cuStreamSynchronize(self, stream: Any) -> tuple[CUresult]:
        return (self._note("cuStreamSynchronize", stream),)

    def cuStreamDestroy(self, stream: Any) -> tuple[CUresult]:
        del self.streams[int(stream)]
        return (self._note("cuStreamDestroy", stream),)

    def cuStreamWaitEvent(self, stream: Any, event: Any, flags: int) -> tuple[CUresult]:
        return (self._note("cuStreamWaitEvent", stream, event, flags),)

    def cuEventCreate(self, flags: int) -> tuple[CUresult, Handle]:
        return self._note("cuEventCreate", flags), self._new()

    def cuEventRecord(self, event: Any, stream: Any) -> tuple[CUresult]:
        self.clock_ms += 0.5
        self._times_ms[int(event)] = self.clock_ms
        return (self._note("cuEventRecord", event, stream),)

    def cuEventSynchronize(self, event: Any) -> tuple[CUresult]:
        return (self._note("cuEventSynchronize", event),)

    def cuEventElapsedTime(self, start: Any, end: Any) -> tuple[CUresult, float]:
        took_ms = self._times_ms[int(end)] - self._times_ms[int(start)]
        return self._note("cuEventElapsedTime", start, end), took_ms

    def cuEventDestroy(self, event: Any) -> tuple[CUresult]:
        return (self._note("cuEventDestroy", event),)

    def cuMemHostAlloc(self, size_bytes: int, flags: int) -> tuple[CUresult, int]:
        return self._note("cuMemHostAlloc", size_bytes, flags), self._allocate(size_bytes)

    def cuMemFreeHost(self, pointer: int) -> tuple[CUresult]:
        del self.memory[int(pointer)]
        return (self._note("cuMemFreeHost", pointer),)

    def cuMemAlloc(self, size_bytes: int) -> tuple[CUresult, Handle]:
        assert not self.is_capturing, "memory cannot be made while a graph is captured"
        code = self._note("cuMemAlloc", size_bytes)
        return code, Handle(0 if code else self._allocate(size_bytes))

    def cuMemFree(self, pointer: Any) -> tuple[CUresult]:
        del self.memory[int(pointer)]
        return (self._note("cuMemFree", pointer),)

    def cuMemsetD8Async(
        self, pointer: Any, value: int, size_bytes: int, stream: Any
    ) -> tuple[CUresult]:
        self.queue(int(stream), lambda: ctypes.memset(int(pointer), value, size_bytes))
        return (self._note("cuMemsetD8Async", pointer, value, size_bytes, stream),)

    def cuMemcpyHtoDAsync(self, to: Any, source: Any, count: int, stream: Any) -> tuple[CUresult]:
        self.queue(int(stream), lambda: _copy(to, source, count))
        return (self._note("cuMemcpyHtoDAsync", to, source, count, stream),)

    def cuMemcpyDtoHAsync(self, to: Any, source: Any, count: int, stream: Any) -> tuple[CUresult]:
        self.queue(int(stream), lambda: _copy(to, source, count))
        return (self._note("cuMemcpyDtoHAsync", to, source, count, stream),)

    def cuMemcpy2DAsync(self, copy: Any, stream: Any) -> tuple[CUresult]:
        assert copy.srcMemoryType == copy.dstMemoryType == CUmemorytype.CU_MEMORYTYPE_DEVICE
        self.queue(int(stream), lambda: _copy_rows(copy))
        return (self._note("cuMemcpy2DAsync", stream),)

    def cuStreamBeginCapture(self, stream: Any, mode: int) -> tuple[CUresult]:
        self._captured = []
        return (self._note("cuStreamBeginCapture", stream, mode),)

    def cuStreamEndCapture(self, stream: Any) -> tuple[CUresult, Handle]:
        assert self._captured is not None
        graph = self._new()
        self.graphs[int(graph)], self._captured = self._captured, None
        return self._note("cuStreamEndCapture", stream), graph

    def cuGraphInstantiate(self, graph: Any, flags: int) -> tuple[CUresult, Handle]:
        ready = self._new()
        self.graphs[int(ready)] = self.graphs[int(graph)]
        return self._note("cuGraphInstantiate", graph, flags), ready

    def cuGraphLaunch(self, graph: Any, stream: Any) -> tuple[CUresult]:
        for work in self.graphs[int(graph)]:
            work()
        return (self._note("cuGraphLaunch", graph, stream),)

    def cuGraphDestroy(self, graph: Any) -> tuple[CUresult]:
        del self.graphs[int(graph)]
        return (self._note("cuGraphDestroy", graph),)

    def cuGraphExecDestroy(self, graph: Any) -> tuple[CUresult]:
        del self.graphs[int(graph)]
        return (self._note("cuGraphExecDestroy", graph),)

    def _allocate(self, size_bytes: int) -> int:
        memory = ctypes.create_string_buffer(size_bytes)
        ctypes.memset(memory, 0x7F, size_bytes)  # what nobody wrote is no zero
        address = ctypes.addressof(memory)
        self.memory[address] = memory
        return address


def _copy(to: Any, source: Any, count: int) -> None:
    ctypes.memmove(int(to), int(source), count)


def _copy_rows(copy: Any) -> None:
    for row in range(copy.Height):
        to, source = copy.dstDevice + row * copy.dstPitch, copy.srcDevice + row * copy.srcPitch
        ctypes.memmove(to, source, copy.WidthInBytes)


def at(pointer: int, shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
    """What lies at an address of the "GPU"."""
    size_bytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    content = memoryview((ctypes.c_ubyte * max(size_bytes, 1)).from_address(pointer))
    values: np.ndarray[Any, Any] = np.frombuffer(content, np.uint8)[:size_bytes].view(dtype)
    return values.reshape(shape)


@contextmanager
def nothing_left(driver: FakeDriver) -> Iterator[None]:
    """Checks that what is done inside gives back memory, streams and graphs."""
    yield
    assert (driver.memory, driver.streams, driver.graphs) == ({}, {}, {})
