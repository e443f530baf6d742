"""TensorRT without a GPU: an "engine" is an ONNX file, run on the CPU in the driver's memory."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import onnxruntime as ort

from fakes.cuda_driver import FakeDriver
from fakes.libraries import stand_in
from halfsecond.artifact import Artifact, Profile, Tensor, describe_file, write_artifact
from halfsecond.engine import ENGINE_NAME, Machine, engine_key
from halfsecond.gpu import Gpu
from halfsecond.store.hashes import sha256_of

VERSION = "1.7.1.116"
REBUILD = "halfsecond engines build net.onnx"
RTX = Gpu("RTX 4070", "8.9", 13)
MACHINE = Machine({"tensorrt_rtx": VERSION}, {"tensorrt_rtx": 13}, RTX)

Shape = tuple[int, ...]


class FakeTensorRt:
    """The module `tensorrt_rtx`, as far as engines are run. `contexts` are those that were made."""

    __version__ = VERSION
    ILogger = stand_in.ILogger

    def __init__(self, driver: FakeDriver) -> None:
        self.driver = driver
        self.contexts: list[FakeContext] = []
        self.is_out_of_memory = False

    def Runtime(self, logger: Any) -> FakeRuntime:  # noqa: N802
        return FakeRuntime(self)


class FakeRuntime:
    def __init__(self, library: FakeTensorRt) -> None:
        self._library = library

    def deserialize_cuda_engine(self, plan: bytes) -> FakeEngine:
        return FakeEngine(self._library, plan)


class FakeEngine:
    def __init__(self, library: FakeTensorRt, plan: bytes) -> None:
        self._library = library
        self._plan = plan

    def create_execution_context(self) -> FakeContext | None:
        if self._library.is_out_of_memory:
            return None
        context = FakeContext(self._library, self._plan)
        self._library.contexts.append(context)
        return context


class FakeContext:
    """An IExecutionContext. `streams` are the handles of its runs, in their order."""

    def __init__(self, library: FakeTensorRt, plan: bytes) -> None:
        self._library = library
        self._session: Any = ort.InferenceSession(plan, providers=["CPUExecutionProvider"])
        self._inputs = {each.name: each for each in self._session.get_inputs()}
        self._dtypes: dict[str, Any] = {}
        for each in (*self._session.get_inputs(), *self._session.get_outputs()):
            self._dtypes[each.name] = _dtype(each.type)
        self._shapes: dict[str, Shape] = {}
        self._known: dict[tuple[Any, ...], dict[str, Shape]] = {}
        self._addresses: dict[str, int] = {}
        self.streams: list[int] = []

    def set_input_shape(self, name: str, shape: Sequence[int]) -> bool:
        declared = self._inputs[name].shape
        if len(declared) != len(shape):
            return False
        if any(isinstance(d, int) and d != s for d, s in zip(declared, shape, strict=True)):
            return False
        self._shapes[name] = tuple(shape)
        return True

    def get_tensor_shape(self, name: str) -> Shape:
        """Of an output by the inputs' shapes; the real library infers it, this one tries it."""
        key = tuple(sorted(self._shapes.items()))
        if key not in self._known:
            feeds = {n: np.zeros(s, self._dtypes[n]) for n, s in self._shapes.items()}
            names = [each.name for each in self._session.get_outputs()]
            results = self._session.run(names, feeds)
            self._known[key] = {n: r.shape for n, r in zip(names, results, strict=True)}
        return self._known[key][name]

    def get_max_output_size(self, name: str) -> int:
        """Bytes for the profile's largest inputs, or -1 where these do not go together."""
        try:
            shape = self.get_tensor_shape(name)
        except Exception:
            return -1
        return int(math.prod(shape) * np.dtype(self._dtypes[name]).itemsize)

    def set_tensor_address(self, name: str, address: int) -> bool:
        assert address, f"{name} has no memory"
        self._addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        self.streams.append(stream)
        outputs = [each.name for each in self._session.get_outputs()]
        missing = {*self._shapes, *outputs} - set(self._addresses)
        assert not missing, f"no address of {missing}"
        shapes = {**self._shapes, **{name: self.get_tensor_shape(name) for name in outputs}}
        addresses = dict(self._addresses)

        def work() -> None:
            binding = self._session.io_binding()
            for name, shape in shapes.items():
                bind = binding.bind_input if name in self._inputs else binding.bind_output
                bind(name, "cpu", 0, self._dtypes[name], shape, addresses[name])
            self._session.run_with_iobinding(binding)

        self._library.driver.queue(stream, work)
        return True


def write_engine(
    directory: Path,
    network: Path,
    profiles: Mapping[str, Profile],
    *,
    kind: str = "net",
    companions: Mapping[str, bytes] | None = None,
) -> Path:
    """An "engine" of a network with its manifest, for `MACHINE`."""
    directory.mkdir(parents=True)
    (directory / ENGINE_NAME).write_bytes(onnx.load(str(network)).SerializeToString())
    for name, content in (companions or {}).items():
        (directory / name).write_bytes(content)
    session = ort.InferenceSession(str(network), providers=["CPUExecutionProvider"])
    artifact = Artifact(
        kind=kind,
        precision="fp32",
        runtime="tensorrt_rtx",
        sources={network.name: sha256_of(network)},
        files={path.name: describe_file(path) for path in sorted(directory.iterdir())},
        libraries={"tensorrt_rtx": VERSION},
        rebuild=REBUILD,
        inputs=_tensors(session.get_inputs()),
        outputs=_tensors(session.get_outputs()),
        profiles=dict(profiles),
        compute_capabilities=("8.9",),
        source_path=str(network),
        cuda_major=13,
    )
    write_artifact(directory, msgspec.structs.replace(artifact, key=engine_key(artifact)))
    return directory


def _tensors(declared: Any) -> tuple[Tensor, ...]:
    return tuple(
        Tensor(
            name=each.name,
            dtype=np.dtype(_dtype(each.type)).name,
            shape=tuple(size if isinstance(size, int) else "?" for size in each.shape),
        )
        for each in declared
    )


def _dtype(kind: str) -> Any:
    kinds = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(int64)": np.int64}
    return kinds[kind]
