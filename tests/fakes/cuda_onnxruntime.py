"""ONNX Runtime with a CUDA provider, without a GPU.

Networks run on the real ONNX Runtime's CPU, in the memory of the fake driver: "cuda" addresses are
addresses of the host. What is asked of the provider is noted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnxruntime as ort

from fakes.cuda_driver import FakeDriver

Providers = Sequence[tuple[str, dict[str, str]]]


class FakeOnnxRuntime:
    """The module `onnxruntime`.

    loads: providers that really load; another one is left out without a word, as ONNX Runtime does.
    has_cpu_nodes: a part of every network stays on the CPU, so that no graph can be captured.
    """

    __version__ = "1.26.0"

    def __init__(
        self,
        driver: FakeDriver,
        *,
        available: Sequence[str] = ("CUDAExecutionProvider", "CPUExecutionProvider"),
        loads: Sequence[str] = ("CUDAExecutionProvider", "CPUExecutionProvider"),
        has_cpu_nodes: bool = False,
    ) -> None:
        self.driver = driver
        self.available = list(available)
        self.loads = list(loads)
        self.has_cpu_nodes = has_cpu_nodes
        self.sessions: list[FakeSession] = []
        self.is_preloaded = False

    SessionOptions = ort.SessionOptions
    RunOptions = ort.RunOptions

    def get_available_providers(self) -> list[str]:
        return self.available

    def preload_dlls(self) -> None:
        self.is_preloaded = True

    def InferenceSession(self, path: str, options: Any, *, providers: Providers) -> FakeSession:  # noqa: N802
        asked = dict(providers)
        if self.has_cpu_nodes and asked.get("CUDAExecutionProvider", {}).get("enable_cuda_graph"):
            raise RuntimeError(
                "This session cannot use the graph capture feature: nodes on the CPU"
            )
        session = FakeSession(self, path, options, asked)
        self.sessions.append(session)
        return session


class FakeSession:
    """An InferenceSession; `options` are those of the providers that loaded."""

    def __init__(
        self, runtime: FakeOnnxRuntime, path: str, options: Any, asked: Mapping[str, dict[str, str]]
    ) -> None:
        self.runtime = runtime
        self.options = {name: each for name, each in asked.items() if name in runtime.loads}
        self.graph_ids: list[str] = []
        self.is_synchronized: list[bool] = []
        self.captured: dict[str, Any] = {}
        self._real: Any = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def get_providers(self) -> list[str]:
        return list(self.options) or ["CPUExecutionProvider"]

    def get_inputs(self) -> Any:
        return self._real.get_inputs()

    def get_outputs(self) -> Any:
        return self._real.get_outputs()

    def run(self, names: Any, inputs: Any) -> Any:
        return self._real.run(names, inputs)

    def io_binding(self) -> FakeBinding:
        return FakeBinding(self._real.io_binding())

    def run_with_iobinding(self, binding: FakeBinding, options: Any = None) -> None:
        """Queued on the stream that the provider was given; a number of a graph binds for good."""
        self._note(options)
        stream = next(
            int(each["user_compute_stream"])
            for each in self.options.values()
            if "user_compute_stream" in each
        )
        number = self.graph_ids[-1] if self.graph_ids else ""
        if number not in ("", "-1"):
            bound = self.captured.setdefault(number, binding.bound())
            assert bound == binding.bound(), "a graph is replayed with other addresses"
        self.runtime.driver.queue(stream, lambda: self._real.run_with_iobinding(binding.real))

    def _note(self, options: Any) -> None:
        if options is None:
            self.is_synchronized.append(True)
            return
        entry = options.get_run_config_entry
        self.is_synchronized.append(entry("disable_synchronize_execution_providers") != "1")
        if any("enable_cuda_graph" in each for each in self.options.values()):
            self.graph_ids.append(entry("gpu_graph_id"))


class FakeBinding:
    """An IOBinding whose "cuda" addresses are the host's."""

    def __init__(self, real: Any) -> None:
        self.real = real
        self._inputs: dict[str, tuple[Any, ...]] = {}
        self._outputs: dict[str, tuple[Any, ...]] = {}

    def bound(self) -> tuple[Any, ...]:
        return tuple(self._inputs.items()), tuple(self._outputs.items())

    def bind_input(
        self, name: str, device: str, index: int, dtype: Any, shape: Any, pointer: int
    ) -> None:
        assert (device, index) == ("cuda", 0)
        self._inputs[name] = (tuple(shape), pointer)
        self.real.bind_input(name, "cpu", 0, dtype, shape, pointer)

    def bind_output(
        self,
        name: str,
        device: str,
        index: int,
        dtype: Any = None,
        shape: Any = None,
        pointer: int | None = None,
    ) -> None:
        assert (device, index) == ("cuda", 0)
        self._outputs[name] = (shape, pointer)
        if pointer is None:
            self.real.bind_output(name, "cpu", 0)
        else:
            self.real.bind_output(name, "cpu", 0, dtype, shape, pointer)

    def clear_binding_outputs(self) -> None:
        self._outputs.clear()
        self.real.clear_binding_outputs()

    def get_outputs(self) -> Any:
        return self.real.get_outputs()
