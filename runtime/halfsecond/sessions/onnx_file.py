"""ONNX files on ONNX Runtime: on the CPU without a copy, on a GPU through a stream of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import numpy as np

from halfsecond.artifact import Tensor
from halfsecond.errors import UnsupportedModelError
from halfsecond.sessions.cuda import Cuda, Stream
from halfsecond.sessions.device_array import DeviceArray
from halfsecond.sessions.host_buffer import HostBuffer
from halfsecond.sessions.on_device import MOST_GRAPHS, DeviceArrays, OnDevice, Shape
from halfsecond.sessions.onnx_runtime import CPU, declared, load_onnxruntime
from halfsecond.sessions.session import AnyArray, Array, CudaArray

Symbols = dict[str, int]


class CpuSession:
    """A `Session` on the CPU. Arrays are bound by address, and nothing is copied."""

    runs_on = CPU

    def __init__(self, session: Any) -> None:
        self._session: Any = session
        self.inputs: tuple[Tensor, ...] = declared(session.get_inputs())
        self.outputs: tuple[Tensor, ...] = declared(session.get_outputs())
        self._output_names = [tensor.name for tensor in self.outputs]
        self._binding: Any = None
        self._bound_outputs: dict[str, Array] = {}
        self._free_outputs: frozenset[str] = frozenset()
        self._kept: list[Array] = []

    def run(self, inputs: Mapping[str, Array], outputs: Sequence[str] = ()) -> dict[str, Array]:
        """See `Session.run`."""
        names = list(outputs) or self._output_names
        return dict(zip(names, self._session.run(names, inputs), strict=True))

    def bind(self, arrays: Mapping[str, AnyArray]) -> None:
        """See `Session.bind`."""
        names = {tensor.name for tensor in self.inputs}
        for name, array in arrays.items():
            values = _on_host(name, array)
            self._kept.append(values)
            if name in names:
                _bind(self._bindings().bind_input, name, values)
            else:
                self._bound_outputs[name] = values
                _bind(self._bindings().bind_output, name, values)

    def run_into(self, inputs: Mapping[str, AnyArray], outputs: Mapping[str, AnyArray]) -> None:
        """See `Session.run_into`."""
        binding = self._bindings()
        for name, array in inputs.items():
            _bind(binding.bind_input, name, _on_host(name, array))
        if outputs.keys() != self._free_outputs:
            # Those of the run before would be computed and written again.
            self._free_outputs = frozenset(outputs)
            binding.clear_binding_outputs()
            for name, values in self._bound_outputs.items():
                _bind(binding.bind_output, name, values)
        for name, array in outputs.items():
            _bind(binding.bind_output, name, _on_host(name, array))
        self._session.run_with_iobinding(binding)

    def launch(
        self, inputs: Mapping[str, CudaArray], outputs: Mapping[str, CudaArray], *, stream: int
    ) -> None:
        """Raises UnsupportedModelError: there is no stream on a CPU."""
        del inputs, outputs, stream
        raise UnsupportedModelError(
            f"this session runs on {CPU} and has no stream; open it with a GPU's device"
        )

    def buffer(self, shape: Sequence[int], dtype: Any) -> HostBuffer:
        """See `Session.buffer`."""
        return HostBuffer(shape, dtype)

    def close(self) -> None:
        """See `Session.close`."""
        self._binding = self._session = None
        self._bound_outputs.clear()
        self._kept.clear()

    def __enter__(self) -> CpuSession:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _bindings(self) -> Any:
        if self._binding is None:
            self._binding = self._session.io_binding()
        return self._binding


def _on_host(name: str, array: AnyArray) -> Array:
    if not isinstance(array, np.ndarray):
        raise UnsupportedModelError(
            f"{name} lies on a GPU, and the session runs on {CPU}; copy it to the host first"
        )
    if not array.flags.c_contiguous:
        raise UnsupportedModelError(f"{name} is not C-contiguous; copy it first")
    return array


def _bind(bind: Any, name: str, values: Array) -> None:
    bind(name, "cpu", 0, values.dtype, values.shape, values.ctypes.data)


class CudaSession(OnDevice):
    """A `Session` on ONNX Runtime's CUDA or TensorRT provider.

    The stream is the provider's for as long as the session lives; a launch on another one is tied
    to it by events. What stays on the CPU is copied by ONNX Runtime itself.
    """

    def __init__(
        self, session: Any, cuda: Cuda, stream: Stream, *, runs_on: str, is_graphed: bool = False
    ) -> None:
        """session: made with `stream` as `user_compute_stream`.

        is_graphed: it was made with `enable_cuda_graph`. ONNX Runtime then captures and replays,
        one graph for each set of addresses and shapes.
        """
        super().__init__(
            cuda,
            stream,
            inputs=declared(session.get_inputs()),
            outputs=declared(session.get_outputs()),
            runs_on=runs_on,
        )
        self._session: Any = session
        self._binding: Any = session.io_binding()
        self.can_replay = is_graphed
        self._options: dict[object, Any] = {}

    def _free(self) -> None:
        self._binding = self._session = None

    def _output_shapes(self, inputs: DeviceArrays) -> dict[str, Shape | None]:
        """By the names of sizes that inputs and outputs share."""
        sizes: Symbols = {}
        for tensor in self.inputs:
            if tensor.name in inputs:
                sizes |= _named_sizes(tensor.shape, inputs[tensor.name].shape)
        return {tensor.name: _resolved(tensor.shape, sizes) for tensor in self.outputs}

    def _execute(
        self, inputs: DeviceArrays, outputs: Mapping[str, DeviceArray | None], stream: int
    ) -> DeviceArrays:
        own = self.stream.handle
        if stream != own:
            self._follow(own, stream)
        made = self._run_bound(inputs, outputs)
        if stream != own:
            self._follow(stream, own)
        return made

    def _run_bound(
        self, inputs: DeviceArrays, outputs: Mapping[str, DeviceArray | None]
    ) -> DeviceArrays:
        binding, index = self._binding, self.cuda.index
        for name, array in inputs.items():
            binding.bind_input(name, "cuda", index, array.dtype, array.shape, array.pointer)
        binding.clear_binding_outputs()
        for name, place in outputs.items():
            if place is None:
                binding.bind_output(name, "cuda", index)
            else:
                binding.bind_output(name, "cuda", index, place.dtype, place.shape, place.pointer)
        self._session.run_with_iobinding(binding, self._run_options(inputs, outputs))
        if None not in outputs.values():
            return {}
        values = dict(zip(outputs, binding.get_outputs(), strict=True))
        return {
            name: DeviceArray(
                int(value.data_ptr()), tuple(value.shape()), self._dtypes[name], owner=value
            )
            for name, value in values.items()
        }

    def _run_options(self, inputs: DeviceArrays, outputs: Mapping[str, DeviceArray | None]) -> Any:
        """Made once for each graph; what has none shares those of number -1, which captures none.

        ONNX Runtime would wait for the whole stream after each run; its caller waits, if at all.
        """
        is_captured = self.can_replay and None not in outputs.values()
        key: object = self._key(inputs, outputs) if is_captured else None
        if key not in self._options and len(self._options) >= MOST_GRAPHS:
            key = None
        if key not in self._options:
            options = load_onnxruntime().RunOptions()
            options.add_run_config_entry("disable_synchronize_execution_providers", "1")
            if self.can_replay:
                number = -1 if key is None else len(self._options) + 1
                options.add_run_config_entry("gpu_graph_id", str(number))
            self._options[key] = options
        return self._options[key]

    def _follow(self, later: int, earlier: int) -> None:
        """What one stream is given from now on waits for what the other one was given so far."""
        event = self.cuda.record(earlier)
        self.cuda.make_wait(later, event)
        event.close()


def _named_sizes(names: Sequence[int | str], given: Sequence[int]) -> Symbols:
    """The values of sizes that have a name."""
    pairs = zip(names, given, strict=True)
    return {size: value for size, value in pairs if isinstance(size, str) and size != "?"}


def _resolved(shape: Sequence[int | str], sizes: Symbols) -> Shape | None:
    found = [size if isinstance(size, int) else sizes.get(size) for size in shape]
    known = [size for size in found if size is not None]
    return tuple(known) if len(known) == len(found) else None
