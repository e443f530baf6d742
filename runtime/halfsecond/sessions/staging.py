"""Between the host and the GPU: page-locked memory and memory of the GPU, one pair a tensor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from halfsecond.sessions.cuda import Cuda, Memory, Stream
from halfsecond.sessions.device_array import DeviceArray
from halfsecond.sessions.session import Array


@dataclass(frozen=True)
class _Slot:
    host: Memory
    device: Memory


class Staging:
    """Memory for the inputs and outputs of a session, made once and reused.

    A tensor that outgrows its memory gets larger memory, which `generation` counts.
    """

    generation = 0

    def __init__(self, cuda: Cuda, stream: Stream) -> None:
        self._cuda = cuda
        self._stream = stream
        self._slots: dict[str, _Slot] = {}

    def reserve(self, name: str, size_bytes: int) -> None:
        """Makes room for a tensor of this size, if there is less."""
        slot = self._slots.get(name)
        if slot is not None and slot.device.size_bytes >= size_bytes:
            return
        if slot is not None:
            # Twice as much at least: a tensor that grows step by step is moved a few times only.
            size_bytes = max(size_bytes, 2 * slot.device.size_bytes)
            self._stream.synchronize()
            _free(slot)
            del self._slots[name]
        self.generation += 1
        host = self._cuda.page_locked(size_bytes)
        self._slots[name] = _Slot(host, self._cuda.memory(size_bytes))

    def put(self, name: str, values: Array) -> DeviceArray:
        """Copies an input into its page-locked memory; `upload` takes it from there."""
        self.reserve(name, values.nbytes)
        self.host(name, values.shape, values.dtype)[...] = values
        return self.device(name, values.shape, values.dtype)

    def device(self, name: str, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> DeviceArray:
        """The memory of a tensor on the GPU, in this shape."""
        memory = self._slots[name].device
        return DeviceArray(memory.pointer, shape, dtype, owner=memory)

    def host(self, name: str, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> Array:
        """The page-locked memory of a tensor, in this shape."""
        return self._slots[name].host.array(shape, dtype)

    def upload(self, name: str, array: DeviceArray) -> None:
        """Queues the copy of what was put."""
        host = self._slots[name].host.pointer
        self._cuda.upload(array.pointer, host, array.size_bytes, self._stream.handle)

    def download(self, name: str, array: DeviceArray) -> None:
        """Queues the copy of an output into its page-locked memory."""
        self.reserve(name, array.size_bytes)
        host = self._slots[name].host.pointer
        self._cuda.download(host, array.pointer, array.size_bytes, self._stream.handle)

    def close(self) -> None:
        """Frees all of it; arrays of `host` must not be used afterwards."""
        for slot in self._slots.values():
            _free(slot)
        self._slots.clear()


def _free(slot: _Slot) -> None:
    slot.host.close()
    slot.device.close()
