"""One engine in the store: as it was asked for, or as it was before. Never half of it."""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from halfsecond.artifact import Artifact, describe_file, write_artifact
from halfsecond.engine import ENGINE_NAME, intact_engine
from halfsecond.engine_library import load_library
from halfsecond.errors import EngineBuildError, ModelError, NoGpuError
from halfsecond.gpu import Gpu, this_gpu
from halfsecond.store.locking import exclusive
from halfsecond_export.engines.job import BuildJob, Built, Step
from halfsecond_export.engines.network import Source, find_source
from halfsecond_export.engines.planning import BuildRequest, plan
from halfsecond_export.engines.preparing import prepare_network
from halfsecond_export.engines.process import run_build
from halfsecond_export.engines.resources import check_disk, check_memory
from halfsecond_export.engines.rewriting import describe
from halfsecond_export.prepare.request import replaced_directory

_FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class BuildResult:
    """An engine that is there. took_s: all of it, the passes and the hashing too."""

    directory: Path
    artifact: Artifact
    outcome: Literal["built", "up to date"]
    took_s: float


class BuildProgress(Protocol):
    """Hears how a build goes on; nothing it does may raise."""

    def step(self, step: Step) -> None: ...

    def note(self, message: str) -> None: ...


def build_engine(
    request: BuildRequest,
    *,
    progress: BuildProgress,
    rebuild: Sequence[str],
    find_gpu: Callable[[], Gpu] = this_gpu,
) -> BuildResult:
    """Builds an engine, or finds that the one that is there would come out the same.

    rebuild: the command that builds it again, for its manifest.

    Raises:
        ConfigError: the request, or a library that is not installed.
        ModelError: the network, the machine or the build; its classes say which.
    """
    started_s = time.perf_counter()
    library = load_library(request.library)
    source = find_source(request.source)
    planned = plan(request, source, library, _gpu(find_gpu), rebuild)
    name = request.name or f"{planned.kind}-{planned.precision}-{request.library}"
    target = request.folder / name
    with (
        _disk_errors(request.folder),
        exclusive(
            request.folder / f".{name}.lock",
            on_wait=lambda: progress.note(f"another build of {name} is running; waiting for it"),
        ),
    ):
        artifact = None if request.is_forced else _present(target, planned)
        outcome: Literal["built", "up to date"] = "up to date"
        if artifact is None:
            artifact = _build(request, source, planned, target, progress)
            outcome = "built"
    return BuildResult(target, artifact, outcome, time.perf_counter() - started_s)


def _present(target: Path, planned: Artifact) -> Artifact | None:
    """The engine that is there, if it is whole and would come out the same."""
    try:
        artifact = intact_engine(target)
    except ModelError:
        return None
    return artifact if artifact.key == planned.key else None


def _build(
    request: BuildRequest, source: Source, planned: Artifact, target: Path, progress: BuildProgress
) -> Artifact:
    network_bytes = sum((source.path.parent / name).stat().st_size for name in planned.sources)
    check_memory(network_bytes, workspace_bytes=request.workspace_bytes)
    check_disk(request.folder, network_bytes)
    progress.step(Step(phase="rewriting the network", done=0, total=1))
    with replaced_directory(target) as directory:
        network = directory / "network.onnx"
        prepared = prepare_network(request, source, planned, network)
        job = BuildJob(
            library=request.library,
            network=str(network),
            plan=str(directory / ENGINE_NAME),
            compute_capabilities=planned.compute_capabilities,
            profiles=planned.profiles,
            workspace_bytes=request.workspace_bytes,
        )
        built = run_build(job, on_step=progress.step)
        for path in directory.glob("network.onnx*"):
            path.unlink()
        _take_along(source, planned, directory)
        artifact = msgspec.structs.replace(
            planned,
            files={path.name: describe_file(path) for path in sorted(directory.iterdir())},
            inputs=built.inputs,
            outputs=built.outputs,
            checks=prepared.checks,
            details=_details(built, prepared.changes),
        )
        write_artifact(directory, artifact)
    return artifact


def _take_along(source: Source, planned: Artifact, directory: Path) -> None:
    """Copies what lies beside an exported network and is no part of it: a tokenizer."""
    if source.manifest is None:
        return
    for name in source.manifest.files:
        if name not in planned.sources:
            shutil.copyfile(source.path.parent / name, directory / name)


def _details(built: Built, changes: dict[str, int]) -> dict[str, str | int | float]:
    return {
        "passes": describe(changes),
        "build_s": round(built.build_s, 3),
        "peak_memory_bytes": built.peak_memory_bytes,
        "layers": built.layers,
        "warnings": len(built.warnings),
    }


def _gpu(find_gpu: Callable[[], Gpu]) -> Gpu | None:
    try:
        return find_gpu()
    except NoGpuError:
        return None


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    """A disk that is full, in words; what is raised on purpose passes."""
    try:
        yield
    except OSError as error:
        if isinstance(error, ModelError) or error.errno not in _FULL_DISK:
            raise
        raise EngineBuildError(
            f"the disk under {folder} is full ({error}); nothing was replaced. Make room, or "
            "choose another disk with --home"
        ) from error
