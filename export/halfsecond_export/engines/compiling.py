"""From an ONNX file to an engine's file, with the library that is given: parse, compile, write.

The libraries raise nothing: every failure is found in what they return and in their log.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from halfsecond.artifact import Tensor
from halfsecond.engine_library import LibraryLog, library_log
from halfsecond.errors import EngineBuildError, UnsupportedModelError
from halfsecond_export.engines.adapters import ADAPTERS, parse_capability
from halfsecond_export.engines.job import BuildJob, Built, Step

Report = Callable[[Step], None]


def compile_engine(job: BuildJob, library: Any, report: Report) -> Built:
    """Leaves the engine at `job.plan`, on the disk; `report` hears of every step.

    Raises:
        UnsupportedModelError: the library cannot read the network; names the node.
        EngineBuildError: it reads it and builds nothing; holds what its log says.
        OSError: the engine cannot be written.
    """
    log = library_log(library)
    builder = _builder(library, log, job)
    flags = library.NetworkDefinitionCreationFlag
    network = builder.create_network(1 << int(flags.STRONGLY_TYPED))
    parser = library.OnnxParser(network, log.logger)
    if not parser.parse_from_file(job.network):
        raise _unreadable(parser, log, job)
    config = _config(library, builder, job)
    monitor = _monitor(library, report)
    config.progress_monitor = monitor
    started_s = time.perf_counter()
    plan = builder.build_serialized_network(network, config)
    build_s = time.perf_counter() - started_s
    if plan is None:
        raise EngineBuildError(_refused(job, log))
    _write(Path(job.plan), plan)
    return Built(
        build_s=build_s,
        peak_memory_bytes=_peak_memory_bytes(),
        layers=network.num_layers,
        inputs=_tensors(library, network.num_inputs, network.get_input),
        outputs=_tensors(library, network.num_outputs, network.get_output),
        warnings=tuple(dict.fromkeys(log.warnings)),
    )


def _builder(library: Any, log: LibraryLog, job: BuildJob) -> Any:
    try:
        return library.Builder(log.logger)
    except TypeError as error:  # what the binding makes of a null pointer
        raise EngineBuildError(_why(f"{job.library} does not start", log)) from error


def _config(library: Any, builder: Any, job: BuildJob) -> Any:
    config = builder.create_builder_config()
    ADAPTERS[job.library].configure(library, config, job.compute_capabilities)
    if job.workspace_bytes:
        config.set_memory_pool_limit(library.MemoryPoolType.WORKSPACE, job.workspace_bytes)
    if job.profiles:
        profile = builder.create_optimization_profile()
        for name, shapes in job.profiles.items():
            profile.set_shape(name, shapes.smallest, shapes.typical, shapes.largest)
        if config.add_optimization_profile(profile) < 0:
            raise EngineBuildError(f"{job.library} takes no profile like {job.profiles}")
    return config


def _monitor(library: Any, report: Report) -> Any:
    class Monitor(library.IProgressMonitor):  # type: ignore[misc]
        """Steps of the outermost phase, under the name of the innermost; called from any thread."""

        def __init__(self) -> None:
            super().__init__()
            self.open: list[str] = []
            self.done, self.total = 0, 1

        def phase_start(self, name: str, parent: str | None, steps: int) -> None:
            if parent is None:
                self.done, self.total = 0, steps
            self.open.append(name)
            self.tell()

        def phase_finish(self, name: str) -> None:
            if self.open[:1] == [name]:
                self.done = self.total  # the library does not report the last step
                self.tell()
            with suppress(ValueError):
                self.open.remove(name)

        def step_complete(self, name: str, step: int) -> bool:
            if self.open and name == self.open[0]:
                self.done = step + 1
                self.tell()
            return True

        def tell(self) -> None:
            phase = self.open[-1] if self.open else ""
            report(Step(phase=phase, done=self.done, total=self.total))

    return Monitor()


def _unreadable(parser: Any, log: LibraryLog, job: BuildJob) -> UnsupportedModelError:
    """The nodes that the parser names, and what it says of each."""
    reasons = []
    for index in range(parser.num_errors):
        error = parser.get_error(index)
        where = (
            f"node {error.node_name()!r} ({error.node_operator()}): " if error.node_name() else ""
        )
        reasons.append(where + " ".join(error.desc().split()))
    said = "; ".join(reasons) or "; ".join(log.take()) or "it does not say why"
    return UnsupportedModelError(
        f"{job.library} cannot read the network: {said}. Cut it so that this part stays outside "
        "(--cut-inputs, --cut-outputs), or export it without"
    )


def _refused(job: BuildJob, log: LibraryLog) -> str:
    """What the log says; and where one of the GPUs is to blame, how to leave it out."""
    said = _why(f"{job.library} builds no engine", log)
    blamed = {parse_capability(name) for name in re.findall(r"\bSM\d{2,3}\b", said)}
    others = [each for each in job.compute_capabilities if each not in blamed]
    if len(others) == len(job.compute_capabilities) or not others:
        return said
    return f"{said}. For the other GPUs: {' '.join(f'--sm {each}' for each in others)}"


def _why(what: str, log: LibraryLog) -> str:
    return f"{what}: {'; '.join(log.take()) or 'it does not say why'}"


def _peak_memory_bytes() -> int:
    """Of this process. What getrusage says begins with the memory of the process that forked it."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def _write(path: Path, plan: Any) -> None:
    with path.open("wb") as file:
        file.write(plan)
        file.flush()
        os.fsync(file.fileno())


def _tensors(library: Any, count: int, get: Callable[[int], Any]) -> tuple[Tensor, ...]:
    """Names, dtypes as numpy calls them, and sizes, -1 for those that vary."""
    tensors = (get(index) for index in range(count))
    return tuple(
        Tensor(
            name=tensor.name,
            dtype=_dtype(library, tensor.dtype),
            shape=tuple("?" if size < 0 else int(size) for size in tensor.shape),
        )
        for tensor in tensors
    )


def _dtype(library: Any, dtype: Any) -> str:
    names = {
        "FLOAT": "float32",
        "HALF": "float16",
        "INT8": "int8",
        "INT32": "int32",
        "INT64": "int64",
        "BOOL": "bool",
        "UINT8": "uint8",
    }
    known = {getattr(library.DataType, kind): name for kind, name in names.items()}
    return known.get(dtype, str(dtype))
