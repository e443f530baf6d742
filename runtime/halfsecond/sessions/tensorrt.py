"""TensorRT engines, of either library: verified, then run on a stream of their own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from halfsecond.artifact import Artifact, Profile, read_artifact
from halfsecond.engine import Machine, open_engine
from halfsecond.engine_library import library_log, load_library
from halfsecond.errors import GpuError, UnsupportedModelError
from halfsecond.sessions.cuda import Cuda, open_cuda
from halfsecond.sessions.device_array import DeviceArray
from halfsecond.sessions.on_device import DeviceArrays, OnDevice, Shape
from halfsecond.sessions.session import Priority

OpenCuda = Callable[[], Cuda]


class EngineSession(OnDevice):
    """A `Session` on an engine that `halfsecond engines build` made. One thread at a time.

    Memory is made for the largest shapes of the engine's profile, when a tensor is first used.
    """

    def __init__(
        self,
        directory: Path,
        *,
        priority: Priority = "low",
        is_graphed: bool = False,
        machine: Machine | None = None,
        open_gpu: OpenCuda = open_cuda,
    ) -> None:
        """is_graphed: for shapes that come again and again (see `OnDevice`).

        Raises:
            ModelError: what `halfsecond.engine.open_engine` refuses, with the command that builds
                the engine again, or there is no GPU.
            ConfigError: the library or cuda-python is not installed.
        """
        engine = open_engine(directory, machine)
        artifact = read_artifact(directory)
        cuda = open_gpu()
        stream = cuda.stream(priority)
        super().__init__(
            cuda,
            stream,
            inputs=artifact.inputs,
            outputs=artifact.outputs,
            runs_on=artifact.runtime,
            is_graphed=is_graphed,
        )
        self._directory = directory
        self._artifact = artifact
        self._engine: Any = engine
        self._context: Any = None
        self._largest: dict[str, int] = {}
        try:
            self._context = _context(engine, artifact, directory)
            self._largest = self._largest_sizes()
        except BaseException:
            self.close()
            raise

    def _free(self) -> None:
        # The context before the engine that it belongs to.
        self._context = None
        self._engine = None

    def _needs_all_outputs(self) -> bool:
        return True

    def _largest_bytes(self, name: str) -> int:
        return self._largest.get(name, 0)

    def _output_shapes(self, inputs: DeviceArrays) -> dict[str, Shape | None]:
        self._set_shapes({name: array.shape for name, array in inputs.items()})
        return {t.name: tuple(self._context.get_tensor_shape(t.name)) for t in self.outputs}

    def _execute(
        self, inputs: DeviceArrays, outputs: Mapping[str, DeviceArray | None], stream: int
    ) -> DeviceArrays:
        self._set_shapes({name: array.shape for name, array in inputs.items()})
        for name, array in (*inputs.items(), *outputs.items()):
            assert array is not None, "an engine tells the shapes of its outputs beforehand"
            self._context.set_tensor_address(name, array.pointer)
        if not self._context.execute_async_v3(stream):
            raise GpuError(f"{self._directory} does not run: {_said(self._artifact)}")
        return {}

    def _set_shapes(self, shapes: Mapping[str, Shape]) -> None:
        missing = [t.name for t in self.inputs if t.name not in shapes]
        if missing:
            raise UnsupportedModelError(f"{self._directory} was not given {', '.join(missing)}")
        for name, shape in shapes.items():
            profile = self._artifact.profiles.get(name)
            if profile is not None and not _fits(shape, profile):
                raise UnsupportedModelError(
                    f"{name} has the shape {list(shape)}; the engine in {self._directory} was "
                    f"built for {list(profile.smallest)} to {list(profile.largest)}: give "
                    f"`--profile` and build it again: {self._artifact.rebuild}"
                )
            if not self._context.set_input_shape(name, shape):
                raise UnsupportedModelError(
                    f"{self._directory} takes no {name} of the shape {list(shape)}: "
                    f"{_said(self._artifact)}"
                )

    def _largest_sizes(self) -> dict[str, int]:
        """Bytes of every tensor in the largest shapes of the profile, as far as they are known.

        The largest inputs need not go together (a full past leaves no room for new tokens), so
        outputs are asked for a bound there and not for their shapes; the library answers -1 where
        it knows none, and then memory grows with what is asked for.
        """
        shapes = {
            tensor.name: profile.largest if profile else tuple(map(int, tensor.shape))
            for tensor in self.inputs
            for profile in [self._artifact.profiles.get(tensor.name)]
        }
        self._set_shapes(shapes)
        sizes = {
            name: math.prod(shape) * self._dtypes[name].itemsize for name, shape in shapes.items()
        }
        for tensor in self.outputs:
            sizes[tensor.name] = int(self._context.get_max_output_size(tensor.name))
        return sizes


def _fits(shape: Sequence[int], profile: Profile) -> bool:
    if len(shape) != len(profile.largest):
        return False
    sizes = zip(profile.smallest, shape, profile.largest, strict=True)
    return all(low <= size <= high for low, size, high in sizes)


def _context(engine: Any, artifact: Artifact, directory: Path) -> Any:
    context = engine.create_execution_context()
    if context is None:
        raise GpuError(f"the engine in {directory} cannot be used: {_said(artifact)}")
    return context


def _said(artifact: Artifact) -> str:
    """What the library logged since it was last asked."""
    log = library_log(load_library(artifact.runtime))
    return "; ".join(log.take()) or f"{artifact.runtime} says nothing"
