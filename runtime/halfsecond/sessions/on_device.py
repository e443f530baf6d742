"""What the sessions of ONNX Runtime and of TensorRT have in common on a GPU."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

import numpy as np

from halfsecond.artifact import Tensor
from halfsecond.errors import UnsupportedModelError
from halfsecond.sessions.cuda import Cuda, Graph, Stream
from halfsecond.sessions.device_array import DeviceArray, DeviceBuffer, device_array
from halfsecond.sessions.session import AnyArray, Array, CudaArray
from halfsecond.sessions.staging import Staging

Shape = tuple[int, ...]
DeviceArrays = dict[str, DeviceArray]

MOST_GRAPHS = 8
"""Of a session; one for each set of shapes, and each holds some hundred KB of the driver's memory.
Wav2Lip needs two."""


class OnDevice(ABC):
    """A `Session` whose work goes to one stream of a GPU.

    Arrays of the host go through page-locked memory, one piece a tensor, made once. What lies on
    the GPU is used where it lies.
    """

    def __init__(
        self,
        cuda: Cuda,
        stream: Stream,
        *,
        inputs: Sequence[Tensor],
        outputs: Sequence[Tensor],
        runs_on: str,
        is_graphed: bool = False,
    ) -> None:
        """is_graphed: what was run twice in the same shapes is then replayed as a CUDA graph."""
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.runs_on = runs_on
        self.cuda = cuda
        self.stream = stream
        self._dtypes = {t.name: np.dtype(t.dtype) for t in (*self.inputs, *self.outputs)}
        self._staging = Staging(cuda, stream)
        self._buffers: list[DeviceBuffer] = []
        self._bound: dict[str, AnyArray] = {}
        self._is_graphed = is_graphed
        self.can_replay = is_graphed
        """Whether runs become CUDA graphs."""
        self._seen: set[object] = set()
        self._graphs: dict[object, Graph] = {}
        self._is_open = True

    def run(self, inputs: Mapping[str, Array], outputs: Sequence[str] = ()) -> dict[str, Array]:
        """See `Session.run`."""
        names = outputs or [tensor.name for tensor in self.outputs]
        return self._run(inputs, dict.fromkeys(names))

    def bind(self, arrays: Mapping[str, AnyArray]) -> None:
        """See `Session.bind`."""
        self._bound.update(arrays)

    def run_into(self, inputs: Mapping[str, AnyArray], outputs: Mapping[str, AnyArray]) -> None:
        """See `Session.run_into`."""
        self._run(inputs, outputs)

    def launch(
        self, inputs: Mapping[str, CudaArray], outputs: Mapping[str, CudaArray], *, stream: int
    ) -> None:
        """See `Session.launch`."""
        self.cuda.activate()
        given, wanted = self._with_bound(inputs, outputs)
        arrays = {name: self._on_device(name, array) for name, array in given.items()}
        results = {name: self._on_device(name, array) for name, array in wanted.items()}
        self._await_producers(arrays, stream)
        self._complete(arrays, results)
        self._execute(arrays, results, stream)

    def buffer(self, shape: Sequence[int], dtype: Any) -> DeviceBuffer:
        """See `Session.buffer`."""
        self.cuda.activate()
        buffer = DeviceBuffer(self.cuda, self.stream, shape, dtype)
        self._buffers.append(buffer)
        return buffer

    def close(self) -> None:
        """See `Session.close`."""
        if not self._is_open:
            return
        self._is_open = False
        self.cuda.activate()
        self.stream.synchronize()
        for graph in self._graphs.values():
            graph.close()
        self._graphs.clear()
        self._free()
        self._staging.close()
        for buffer in self._buffers:
            buffer.memory.close()
        self.stream.close()
        self.cuda.close()

    def __enter__(self) -> OnDevice:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @abstractmethod
    def _output_shapes(self, inputs: DeviceArrays) -> dict[str, Shape | None]:
        """Of all outputs; None where only a run tells."""

    @abstractmethod
    def _execute(
        self, inputs: DeviceArrays, outputs: Mapping[str, DeviceArray | None], stream: int
    ) -> DeviceArrays:
        """Queues the network on a stream; where the outputs lie that were given no place."""

    @abstractmethod
    def _free(self) -> None:
        """Frees the network."""

    def _largest_bytes(self, name: str) -> int:
        """What a tensor may grow to, where that is known."""
        del name
        return 0

    def _needs_all_outputs(self) -> bool:
        """Whether outputs that nobody wants need a place too."""
        return False

    def _run(
        self, inputs: Mapping[str, AnyArray], outputs: Mapping[str, AnyArray | None]
    ) -> dict[str, Array]:
        self.cuda.activate()
        given, wanted = self._with_bound(inputs, outputs)
        arrays = {name: self._taken_in(name, array) for name, array in given.items()}
        self._await_producers(arrays, self.stream.handle)
        results = self._places(arrays, wanted)
        staged = [name for name, array in given.items() if isinstance(array, np.ndarray)]
        fetched = [n for n, a in wanted.items() if a is None or isinstance(a, np.ndarray)]
        shapes: dict[str, Shape] = {}

        def work() -> None:
            for name in staged:
                self._staging.upload(name, arrays[name])
            made = self._execute(arrays, results, self.stream.handle)
            for name in fetched:
                array = results[name] or made[name]
                shapes[name] = array.shape
                self._staging.download(name, array)

        if self._is_graphed and None not in results.values():
            shapes = {name: array.shape for name, array in results.items() if array is not None}
            self._replayed((self._key(arrays, results), *staged, "", *fetched), work)
        else:
            work()
        self.stream.synchronize()
        return self._handed_over(fetched, shapes, wanted)

    def _with_bound(
        self, inputs: Mapping[str, Any], outputs: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        given = {t.name: self._bound[t.name] for t in self.inputs if t.name in self._bound}
        wanted = {t.name: self._bound[t.name] for t in self.outputs if t.name in self._bound}
        return given | dict(inputs), wanted | dict(outputs)

    def _on_device(self, name: str, array: AnyArray) -> DeviceArray:
        if isinstance(array, np.ndarray):
            raise UnsupportedModelError(
                f"{name} lies on the host; `launch` takes arrays of the GPU, `run_into` both"
            )
        return self._checked(name, device_array(array, name=name))

    def _taken_in(self, name: str, array: AnyArray) -> DeviceArray:
        if not isinstance(array, np.ndarray):
            return self._checked(name, device_array(array, name=name))
        self._staging.reserve(name, max(array.nbytes, self._largest_bytes(name)))
        return self._checked(name, self._staging.put(name, array))

    def _checked(self, name: str, array: DeviceArray) -> DeviceArray:
        expected = self._dtypes.get(name)
        if array.dtype != expected:
            raise UnsupportedModelError(
                f"{name} is given as {array.dtype}, and the network has "
                f"{expected or 'no such input or output'}"
            )
        return array

    def _places(
        self, inputs: DeviceArrays, wanted: Mapping[str, AnyArray | None]
    ) -> dict[str, DeviceArray | None]:
        results: dict[str, DeviceArray | None] = {}
        for name, array in wanted.items():
            if isinstance(array, np.ndarray):
                results[name] = self._place(name, array.shape)
            elif array is not None:
                results[name] = self._on_device(name, array)
        self._complete(inputs, results, wanted)
        return results

    def _complete(
        self,
        inputs: DeviceArrays,
        results: dict[str, Any],
        wanted: Mapping[str, object] | None = None,
    ) -> None:
        """Finds a place for the outputs that have none yet, and are wanted or needed."""
        names = [t.name for t in self.outputs] if self._needs_all_outputs() else (wanted or {})
        missing = [name for name in names if name not in results]
        if not missing:
            return
        shapes = self._output_shapes(inputs)
        for name in missing:
            shape = shapes[name]
            results[name] = None if shape is None else self._place(name, shape)

    def _place(self, name: str, shape: Shape) -> DeviceArray:
        size_bytes = int(np.prod(shape, dtype=np.int64)) * self._dtypes[name].itemsize
        self._staging.reserve(name, max(size_bytes, self._largest_bytes(name)))
        return self._staging.device(name, shape, self._dtypes[name])

    def _await_producers(self, arrays: DeviceArrays, stream: int) -> None:
        for producer in {array.producer for array in arrays.values()} - {0, stream}:
            event = self.cuda.record(producer)
            self.cuda.make_wait(stream, event)
            event.close()

    def _handed_over(
        self,
        fetched: Sequence[str],
        shapes: Mapping[str, Shape],
        wanted: Mapping[str, AnyArray | None],
    ) -> dict[str, Array]:
        """What came back, copied into the caller's arrays or into new ones."""
        new: dict[str, Array] = {}
        for name in fetched:
            values = self._staging.host(name, shapes[name], self._dtypes[name])
            into = wanted[name]
            if isinstance(into, np.ndarray):
                into[...] = values
            else:
                new[name] = values.copy()
        return new

    def _key(self, inputs: DeviceArrays, outputs: Mapping[str, DeviceArray | None]) -> object:
        """What a graph depends on: every address and shape in it."""
        tensors = (*inputs.items(), *outputs.items())
        places = tuple((name, a.pointer, a.shape) for name, a in tensors if a is not None)
        return (self._staging.generation, places)

    def _replayed(self, key: object, work: Callable[[], None]) -> None:
        """Queues the work: the first time as it is, which also warms it up; then as a graph."""
        graph = self._graphs.get(key)
        if graph is None and key not in self._seen:
            self._seen.add(key)
            work()
            return
        if graph is None:
            if len(self._graphs) >= MOST_GRAPHS:
                self._graphs.pop(next(iter(self._graphs))).close()
            graph = self._graphs[key] = self.cuda.capture(self.stream, work)
        graph.launch(self.stream)
