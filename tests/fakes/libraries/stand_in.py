"""The part of TensorRT's Python interface that is used, without TensorRT; both libraries have it.

It reads the ONNX file that it is given and "compiles" it into its hash. STAND_IN in the environment
makes it fail in the ways that the real ones do, or wait.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import time
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any

import onnx

PLAN_BYTES = 200_000


def behaviour() -> str:
    return os.environ.get("STAND_IN", "")


class Severity(IntEnum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2
    INFO = 3


class ILogger:
    INTERNAL_ERROR = Severity.INTERNAL_ERROR
    ERROR = Severity.ERROR
    WARNING = Severity.WARNING
    INFO = Severity.INFO

    def log(self, level: Severity, message: str) -> None:
        raise NotImplementedError


class IProgressMonitor:
    def phase_start(self, name: str, parent: str | None, steps: int) -> None:
        raise NotImplementedError

    def phase_finish(self, name: str) -> None:
        raise NotImplementedError

    def step_complete(self, name: str, step: int) -> bool:
        raise NotImplementedError


class NetworkDefinitionCreationFlag(IntEnum):
    STRONGLY_TYPED = 1


class MemoryPoolType(Enum):
    WORKSPACE = 0


class DataType(Enum):
    FLOAT = 0
    HALF = 1
    INT8 = 2
    INT32 = 3
    BOOL = 4
    UINT8 = 5
    INT64 = 6


class Tensor:
    def __init__(self, value: Any) -> None:
        kinds = {1: DataType.FLOAT, 10: DataType.HALF, 7: DataType.INT64, 6: DataType.INT32}
        self.name = value.name
        self.dtype = kinds[value.type.tensor_type.elem_type]
        sizes = value.type.tensor_type.shape.dim
        self.shape = tuple(d.dim_value if d.HasField("dim_value") else -1 for d in sizes)


class Network:
    def __init__(self, flags: int) -> None:
        assert flags == 1 << NetworkDefinitionCreationFlag.STRONGLY_TYPED
        self.content = b""
        self.nodes: list[Any] = []
        self.inputs: list[Tensor] = []
        self.outputs: list[Tensor] = []

    @property
    def num_layers(self) -> int:
        return len(self.nodes)

    @property
    def num_inputs(self) -> int:
        return len(self.inputs)

    @property
    def num_outputs(self) -> int:
        return len(self.outputs)

    def get_input(self, index: int) -> Tensor:
        return self.inputs[index]

    def get_output(self, index: int) -> Tensor:
        return self.outputs[index]


class ParserError:
    def __init__(self, node: Any) -> None:
        self._node = node

    def node_name(self) -> str:
        return str(self._node.name)

    def node_operator(self) -> str:
        return str(self._node.op_type)

    def desc(self) -> str:
        return f"{self._node.op_type} plugin creator was not found\nin plugin registry"


class OnnxParser:
    """Like the real one it reads no NonZero."""

    def __init__(self, network: Network, logger: ILogger) -> None:
        self._network = network
        self._errors: list[ParserError] = []

    def parse_from_file(self, path: str) -> bool:
        model = onnx.load(path)
        self._errors = [ParserError(n) for n in model.graph.node if n.op_type == "NonZero"]
        if self._errors:
            return False
        self._network.content = model.SerializeToString()
        self._network.nodes = list(model.graph.node)
        self._network.inputs = [Tensor(value) for value in model.graph.input]
        self._network.outputs = [Tensor(value) for value in model.graph.output]
        return True

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> ParserError:
        return self._errors[index]


class Profile:
    def __init__(self) -> None:
        self.shapes: dict[str, tuple[Any, Any, Any]] = {}

    def set_shape(self, name: str, smallest: Any, typical: Any, largest: Any) -> None:
        self.shapes[name] = (smallest, typical, largest)


class BuilderConfig:
    """What both libraries have; a setting that a library lacks is an AttributeError."""

    __slots__ = ("limits", "profiles", "progress_monitor")

    def __init__(self) -> None:
        self.progress_monitor: Any = None
        self.profiles: list[Profile] = []
        self.limits: dict[MemoryPoolType, int] = {}

    def add_optimization_profile(self, profile: Profile) -> int:
        self.profiles.append(profile)
        return len(self.profiles) - 1

    def set_memory_pool_limit(self, pool: MemoryPoolType, size: int) -> None:
        self.limits[pool] = size

    def targets(self) -> str:
        return "this GPU"


class Builder:
    config_type: type[BuilderConfig] = BuilderConfig

    def __init__(self, logger: ILogger) -> None:
        if behaviour() == "no start":
            logger.log(ILogger.ERROR, "CUDA initialization failure with error: 35")
            raise TypeError("pybind11::init(): factory function returned nullptr")
        self._logger = logger

    def create_network(self, flags: int) -> Network:
        return Network(flags)

    def create_builder_config(self) -> BuilderConfig:
        return self.config_type()

    def create_optimization_profile(self) -> Profile:
        return Profile()

    def build_serialized_network(self, network: Network, config: BuilderConfig) -> bytes | None:
        sys.stdout.write("a line that is no event\n")
        self._logger.log(ILogger.WARNING, "weights were cast")
        monitor = config.progress_monitor
        monitor.phase_start("Building engine", None, 3)
        for step in range(3):
            monitor.phase_start("Tactics", "Building engine", 1)
            fail(self._logger)
            monitor.step_complete("Tactics", 0)
            monitor.phase_finish("Tactics")
            monitor.step_complete("Building engine", step)
        if behaviour() == "nothing":
            self._logger.log(ILogger.ERROR, "no tactic for node Conv_3")
            self._logger.log(ILogger.ERROR, "no tactic for node Conv_3")
            return None
        if behaviour() == "turing":
            self._logger.log(ILogger.ERROR, "Cannot compile for Turing (SM75)")
            return None
        described = f"{config.targets()} {config.limits} {[p.shapes for p in config.profiles]}"
        head = f"{hashlib.sha256(network.content).hexdigest()} {described}".encode()
        return head + bytes(PLAN_BYTES - len(head))


def fail(logger: ILogger) -> None:
    how = behaviour()
    if how == "crash":
        sys.stderr.write("Fatal: double free\n")
        sys.stderr.flush()
        os.kill(os.getpid(), signal.SIGSEGV)
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how.startswith("wait for "):  # tells that it has begun, and goes on when the file is there
        path = Path(how.removeprefix("wait for "))
        path.with_suffix(".begun").write_text(str(os.getpid()))
        while not path.exists():
            time.sleep(0.01)


class Runtime:
    def __init__(self, logger: ILogger) -> None:
        self._logger = logger

    def deserialize_cuda_engine(self, plan: bytes) -> bytes | None:
        if behaviour() == "no driver":
            self._logger.log(ILogger.ERROR, "Cuda Runtime (cudaError 35: driver insufficient)")
            return None
        if behaviour() == "refuse":
            self._logger.log(ILogger.ERROR, "plan was made with another tactic set")
            return None
        return plan
