"""Stands in for TensorRT-RTX: compute capabilities are set in its config."""

from enum import Enum

from fakes.libraries import stand_in
from fakes.libraries.stand_in import (
    DataType,
    ILogger,
    IProgressMonitor,
    MemoryPoolType,
    NetworkDefinitionCreationFlag,
    OnnxParser,
    Runtime,
)

__all__ = [
    "Builder",
    "BuilderConfig",
    "ComputeCapability",
    "DataType",
    "ILogger",
    "IProgressMonitor",
    "MemoryPoolType",
    "NetworkDefinitionCreationFlag",
    "OnnxParser",
    "Runtime",
]
__version__ = "1.7.1.116"


class ComputeCapability(Enum):
    NONE = 0
    SM75 = 75
    SM80 = 80
    SM86 = 86
    SM89 = 89
    SM120 = 120
    SM121 = 121


class BuilderConfig(stand_in.BuilderConfig):
    """Targets are counted first and set one by one."""

    __slots__ = ("_capabilities", "num_compute_capabilities")

    def __init__(self) -> None:
        super().__init__()
        self.num_compute_capabilities = 0
        self._capabilities: dict[int, ComputeCapability] = {}

    def set_compute_capability(self, capability: ComputeCapability, index: int) -> None:
        assert index < self.num_compute_capabilities
        self._capabilities[index] = capability

    def targets(self) -> str:
        return " ".join(each.name for each in self._capabilities.values())


class Builder(stand_in.Builder):
    """Makes this library's config."""

    config_type = BuilderConfig
