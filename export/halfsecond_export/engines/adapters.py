"""Where `tensorrt` and `tensorrt_rtx` differ: whom an engine is for. All else is common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from halfsecond.errors import ConfigError, NoGpuError
from halfsecond.gpu import Gpu


class Targets(NamedTuple):
    """Whom an engine is for: compute capabilities ("8.9"), and the device where it counts."""

    compute_capabilities: tuple[str, ...]
    device: str


class Adapter(Protocol):
    """What a library wants to be told."""

    def targets(self, library: Any, wanted: Sequence[str], gpu: Gpu | None) -> Targets:
        """Whom to build for; raises ConfigError or NoGpuError where it cannot."""
        ...

    def configure(self, library: Any, config: Any, compute_capabilities: Sequence[str]) -> None:
        """Sets a builder config up for these targets."""
        ...


class RtxAdapter:
    """TensorRT-RTX compiles ahead of time, for several GPUs at once, without one."""

    def targets(self, library: Any, wanted: Sequence[str], gpu: Gpu | None) -> Targets:
        del gpu  # what is here makes no difference
        known = _known_capabilities(library)
        for capability in wanted:
            if capability not in known:
                raise ConfigError(
                    f"tensorrt_rtx {library.__version__} builds for compute capability "
                    f"{', '.join(known)}, not {capability}; a Jetson builds for itself with "
                    "--library tensorrt"
                )
        return Targets(tuple(sorted(set(wanted), key=known.index)) or known, "")

    def configure(self, library: Any, config: Any, compute_capabilities: Sequence[str]) -> None:
        config.num_compute_capabilities = len(compute_capabilities)
        for index, capability in enumerate(compute_capabilities):
            member = "SM" + capability.replace(".", "")
            config.set_compute_capability(getattr(library.ComputeCapability, member), index)


class ClassicAdapter:
    """TensorRT measures on the GPU that it builds for, and on no other."""

    def targets(self, library: Any, wanted: Sequence[str], gpu: Gpu | None) -> Targets:
        del library
        if gpu is None:
            raise NoGpuError(
                "no GPU here, and tensorrt builds on the device that the engine is for; "
                "--library tensorrt_rtx builds without one"
            )
        if set(wanted) - {gpu.compute_capability}:
            raise ConfigError(
                f"tensorrt builds for the GPU that is here, {gpu.name} with "
                f"{gpu.compute_capability}, not for {', '.join(wanted)}; build there"
            )
        return Targets((gpu.compute_capability,), gpu.name)

    def configure(self, library: Any, config: Any, compute_capabilities: Sequence[str]) -> None:
        del library, config, compute_capabilities  # the GPU that is here is the target


ADAPTERS: dict[str, Adapter] = {"tensorrt_rtx": RtxAdapter(), "tensorrt": ClassicAdapter()}


def parse_capability(text: str) -> str:
    """ "8.9" from "89", "8.9" or "sm89". Raises ConfigError for anything else."""
    digits = text.lower().removeprefix("sm").removeprefix("_").replace(".", "")
    if not digits.isdigit() or len(digits) < 2:
        raise ConfigError(f"{text!r} is no compute capability; write it as 8.9 or 89")
    return f"{digits[:-1]}.{digits[-1]}"


def _known_capabilities(library: Any) -> tuple[str, ...]:
    """Those that the library names, the oldest first."""
    names = (name for name in dir(library.ComputeCapability) if name.startswith("SM"))
    return tuple(parse_capability(name) for name in sorted(names, key=lambda name: int(name[2:])))
