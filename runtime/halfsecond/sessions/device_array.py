"""Arrays on the GPU by the CUDA array interface, version 3: given to others and taken from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from halfsecond.errors import UnsupportedModelError
from halfsecond.sessions.cuda import Cuda, Memory, Rows, Stream
from halfsecond.sessions.session import Array, Buffer, CudaArray


@dataclass(frozen=True)
class DeviceArray:
    """Where an array lies on the GPU. `owner` keeps its memory.

    producer: the handle of the stream whose work makes it, where that may not be done; 0 for none.
    """

    pointer: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    owner: object = None
    producer: int = 0

    @property
    def size_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "version": 3,
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.pointer, False),
            "strides": None,
            "stream": self.producer or None,
        }


def device_array(array: CudaArray, *, name: str) -> DeviceArray:
    """What another library says of its array; nothing is copied.

    Raises UnsupportedModelError for one that is not C-contiguous, naming the input or output.
    """
    if isinstance(array, DeviceArray):
        return array
    said = array.__cuda_array_interface__
    shape, dtype = tuple(said["shape"]), np.dtype(said["typestr"])
    strides = said.get("strides")
    if strides is not None and tuple(strides) != _contiguous_strides(shape, dtype.itemsize):
        raise UnsupportedModelError(
            f"{name} has the strides {tuple(strides)}; copy it into a C-contiguous array first"
        )
    return DeviceArray(
        pointer=int(said["data"][0]),
        shape=shape,
        dtype=dtype,
        owner=array,
        producer=int(said.get("stream") or 0),
    )


def _contiguous_strides(shape: Sequence[int], itemsize: int) -> tuple[int, ...]:
    strides, step = [], itemsize
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


class DeviceBuffer:
    """A `Buffer` on the GPU; copies go through the stream of its session and are waited for."""

    def __init__(self, cuda: Cuda, stream: Stream, shape: Sequence[int], dtype: Any) -> None:
        self._cuda = cuda
        self._stream = stream
        self.shape = tuple(shape)
        self.dtype = np.dtype(dtype)
        self.memory: Memory = cuda.memory(math.prod(self.shape) * self.dtype.itemsize)
        cuda.clear(self.memory, stream)

    def view(self, shape: Sequence[int]) -> DeviceArray:
        """See `Buffer.view`."""
        return DeviceArray(self.memory.pointer, tuple(shape), self.dtype, owner=self.memory)

    def paste(
        self, source: Buffer, *, shape: Sequence[int], axis: int, begin: int, end: int
    ) -> None:
        """See `Buffer.paste`."""
        if end <= begin:
            return
        given = source.view(shape)
        assert isinstance(given, DeviceArray), "a buffer of the GPU takes what lies on the GPU"
        step = math.prod(self.shape[axis + 1 :]) * self.dtype.itemsize
        to, pitch = self.memory.pointer + begin * step, self.shape[axis] * step
        self._cuda.activate()
        self._cuda.copy_rows(
            Rows(to, pitch),
            Rows(given.pointer + begin * step, given.shape[axis] * step),
            width=(end - begin) * step,
            rows=math.prod(self.shape[:axis]),
            stream=self._stream.handle,
        )
        self._stream.synchronize()

    def read(self, shape: Sequence[int]) -> Array:
        """See `Buffer.read`."""
        values = np.empty(shape, self.dtype)
        self._cuda.activate()
        self._cuda.download(
            values.ctypes.data, self.memory.pointer, values.nbytes, self._stream.handle
        )
        self._stream.synchronize()
        return values
