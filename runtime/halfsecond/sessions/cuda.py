"""NVIDIA's driver as far as sessions need it: streams, events, memory, copies and graphs.

The calls are those of `cuda.bindings.driver` of the package `cuda-python`, which is imported when
the first GPU is opened. Every call is checked; one that fails raises `GpuError` with its name.
"""

from __future__ import annotations

import ctypes
import importlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from halfsecond.errors import ConfigError, GpuError, NoGpuError
from halfsecond.sessions.session import Array, Priority

INSTALL = "pip install 'halfsecond[gpu]' or 'halfsecond[rtx]'"

# Of cuda.h, so that the same numbers go to every version of the bindings.
_STREAM_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING: does not wait for the legacy stream
_MEMORY_ON_DEVICE = 2  # CU_MEMORYTYPE_DEVICE
_ALIGNMENT_BYTES = 256  # what cuMemAlloc aligns to; an empty tensor too needs an address


def load_driver() -> Any:
    """The module `cuda.bindings.driver`. Raises ConfigError, with what to install."""
    try:
        return importlib.import_module("cuda.bindings.driver")
    except ImportError as error:
        raise ConfigError(f"cuda-python is not installed; {INSTALL}") from error


class Cuda:
    """One GPU through its primary context, which ONNX Runtime and TensorRT share."""

    def __init__(self, driver: Any, *, index: int = 0) -> None:
        """Raises NoGpuError where the driver has no such device, or cannot be started."""
        self.driver = driver
        self.index = index
        try:
            self.call("cuInit", 0)
            self._device = self.call("cuDeviceGet", index)
            self._context = self.call("cuDevicePrimaryCtxRetain", self._device)
            self.activate()
            least, greatest = self.call("cuCtxGetStreamPriorityRange")
        except (GpuError, RuntimeError) as error:
            # The bindings raise RuntimeError where they find no libcuda.so.1.
            raise NoGpuError(f"no GPU here: {error}") from error
        self._priorities: dict[Priority, int] = {"low": int(least), "high": int(greatest)}

    def activate(self) -> None:
        """Makes this GPU the calling thread's; for each thread before its first call."""
        self.call("cuCtxSetCurrent", self._context)

    def stream(self, priority: Priority) -> Stream:
        """A new stream. Priorities are a hint: what runs already is never stopped."""
        number = self._priorities[priority]
        return Stream(self, self.call("cuStreamCreateWithPriority", _STREAM_NON_BLOCKING, number))

    def event(self) -> Event:
        """A new event, which takes the time when it is reached."""
        return Event(self, self.call("cuEventCreate", 0))

    def record(self, stream: int) -> Event:
        """A new event that is reached when a stream has done all that it was given."""
        event = self.event()
        self.call("cuEventRecord", event.raw, stream)
        return event

    def make_wait(self, stream: int, event: Event) -> None:
        """What a stream is given from now on waits for the event."""
        self.call("cuStreamWaitEvent", stream, event.raw, 0)

    def page_locked(self, size_bytes: int) -> Memory:
        """Memory of the host that the GPU copies from and to by itself."""
        pointer = self.call("cuMemHostAlloc", max(size_bytes, _ALIGNMENT_BYTES), 0)
        return Memory(self, int(pointer), size_bytes, free="cuMemFreeHost")

    def memory(self, size_bytes: int) -> Memory:
        """Memory of the GPU, with whatever is in it."""
        pointer = self.call("cuMemAlloc", max(size_bytes, _ALIGNMENT_BYTES))
        return Memory(self, int(pointer), size_bytes, free="cuMemFree")

    def clear(self, memory: Memory, stream: Stream) -> None:
        """Fills memory of the GPU with zeros, on the stream that will use it, and waits for that.

        On the legacy stream it would run whenever it likes: streams of ours do not wait for that.
        """
        if memory.size_bytes:
            self.call("cuMemsetD8Async", memory.pointer, 0, memory.size_bytes, stream.raw)
            stream.synchronize()

    def upload(self, to: int, source: int, size_bytes: int, stream: int) -> None:
        """Queues a copy from the host to the GPU."""
        if size_bytes:
            self.call("cuMemcpyHtoDAsync", to, source, size_bytes, stream)

    def download(self, to: int, source: int, size_bytes: int, stream: int) -> None:
        """Queues a copy from the GPU to the host."""
        if size_bytes:
            self.call("cuMemcpyDtoHAsync", to, source, size_bytes, stream)

    def copy_rows(self, to: Rows, source: Rows, *, width: int, rows: int, stream: int) -> None:
        """Queues a copy of `rows` pieces of `width` bytes each, on the GPU."""
        copy = self.driver.CUDA_MEMCPY2D()
        kind = self.driver.CUmemorytype(_MEMORY_ON_DEVICE)
        copy.srcMemoryType, copy.srcDevice, copy.srcPitch = kind, source.pointer, source.pitch
        copy.dstMemoryType, copy.dstDevice, copy.dstPitch = kind, to.pointer, to.pitch
        copy.WidthInBytes, copy.Height = width, rows
        self.call("cuMemcpy2DAsync", copy, stream)

    def capture(self, stream: Stream, work: Callable[[], None]) -> Graph:
        """What `work` queues on the stream, as a graph; nothing of it has run yet.

        Only this thread's calls are watched, so that others may go on meanwhile.
        """
        mode = self.driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        self.call("cuStreamBeginCapture", stream.raw, mode)
        try:
            work()
        except BaseException:
            self.driver.cuStreamEndCapture(stream.raw)  # fails too, and has nothing to add
            raise
        graph = self.call("cuStreamEndCapture", stream.raw)
        try:
            return Graph(self, self.call("cuGraphInstantiate", graph, 0))
        finally:
            self.call("cuGraphDestroy", graph)

    def close(self) -> None:
        """Lets the context go; whoever else uses it keeps it."""
        self.call("cuDevicePrimaryCtxRelease", self._device)

    def call(self, name: str, *arguments: Any) -> Any:
        """What the driver's function gives after its code.

        Raises GpuError where the code is not 0.
        """
        code, *values = getattr(self.driver, name)(*arguments)
        if int(code):
            said = getattr(code, "name", "") or str(int(code))
            raise GpuError(f"the GPU's driver answers {said} to {name}")
        return values[0] if len(values) == 1 else tuple(values)


class Rows:
    """Where the rows of a copy begin, and how many bytes lie from one to the next."""

    __slots__ = ("pitch", "pointer")

    def __init__(self, pointer: int, pitch: int) -> None:
        self.pointer = pointer
        self.pitch = pitch


class Stream:
    """A queue of work on the GPU. `raw` is the driver's object, `handle` its number."""

    def __init__(self, cuda: Cuda, raw: Any) -> None:
        self._cuda = cuda
        self.raw = raw
        self.handle = int(raw)

    def synchronize(self) -> None:
        """Waits until all of it is done."""
        self._cuda.call("cuStreamSynchronize", self.raw)

    def close(self) -> None:
        """Gives it back when its work is done."""
        self._cuda.call("cuStreamDestroy", self.raw)


class Event:
    """A point in a stream."""

    def __init__(self, cuda: Cuda, raw: Any) -> None:
        self._cuda = cuda
        self.raw = raw

    def ms_since(self, earlier: Event) -> float:
        """Milliseconds from another event to this one, which is waited for."""
        self._cuda.call("cuEventSynchronize", self.raw)
        return float(self._cuda.call("cuEventElapsedTime", earlier.raw, self.raw))

    def close(self) -> None:
        """Gives it back; work that waits for it still does."""
        self._cuda.call("cuEventDestroy", self.raw)


class Graph:
    """Work that was captured once and is queued again with one call."""

    def __init__(self, cuda: Cuda, raw: Any) -> None:
        self._cuda = cuda
        self._raw = raw

    def launch(self, stream: Stream) -> None:
        """Queues all of it."""
        self._cuda.call("cuGraphLaunch", self._raw, stream.raw)

    def close(self) -> None:
        """Frees it."""
        self._cuda.call("cuGraphExecDestroy", self._raw)


class Memory:
    """A piece of memory of the GPU, or page-locked memory of the host, until it is closed."""

    def __init__(self, cuda: Cuda, pointer: int, size_bytes: int, *, free: str) -> None:
        self._cuda = cuda
        self._free = free
        self.pointer = pointer
        self.size_bytes = size_bytes

    def array(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Page-locked memory as an array; it must not be used after `close`."""
        size_bytes = math.prod(shape) * dtype.itemsize
        content = memoryview((ctypes.c_ubyte * max(size_bytes, 1)).from_address(self.pointer))
        values: Array = np.frombuffer(content, np.uint8)[:size_bytes].view(dtype)
        return values.reshape(shape)

    def close(self) -> None:
        """Gives it back, once."""
        if self.pointer:
            pointer, self.pointer = self.pointer, 0
            self._cuda.call(self._free, pointer)


def open_cuda(index: int = 0) -> Cuda:
    """The GPU of this number.

    Raises ConfigError where cuda-python is not installed, and NoGpuError.
    """
    return Cuda(load_driver(), index=index)
