"""One engine in the store: as it was asked for, or as it was before. Never half of it."""

from __future__ import annotations

import errno
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

from halfsecond.artifact import Artifact, Precision, Profile, describe_file, write_artifact
from halfsecond.engine import ENGINE_NAME, engine_key, intact_engine
from halfsecond.engine_library import EngineLibrary, cuda_major_of, load_library
from halfsecond.errors import ConfigError, EngineBuildError, ModelError, NoGpuError
from halfsecond.gpu import Gpu, this_gpu
from halfsecond.store.locking import exclusive
from halfsecond_export.engines.adapters import ADAPTERS
from halfsecond_export.engines.comparing import compared, random_feeds, run_network, run_rewritten
from halfsecond_export.engines.job import BuildJob, Built, Step
from halfsecond_export.engines.network import (
    Source,
    chosen_profiles,
    find_source,
    load_network,
    network_inputs,
    save_network,
    source_hashes,
)
from halfsecond_export.engines.passes.cut import cut
from halfsecond_export.engines.process import run_build
from halfsecond_export.engines.recipes import find_recipe
from halfsecond_export.engines.resources import check_disk, check_memory
from halfsecond_export.engines.rewriting import REVISION, describe, rewrite
from halfsecond_export.prepare.request import replaced_directory

# Networks from this size on are not compared: they would lie in memory several times.
_LARGE_BYTES = 1_000_000_000

_FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class BuildRequest:
    """What to build. `name` is the engine's directory in `folder`; "" makes one of the network's.

    precision: None for what the network's manifest says, or fp16.
    capabilities: to build for, all that the library knows when empty (tensorrt_rtx).
    profiles: by input; those of the network's manifest and of the recipe fill up.
    keeps_io: inputs and outputs stay float32 in an fp16 engine.
    workspace_bytes: scratch memory on the GPU, 0 for no limit.
    is_compared: the rewritten network is held against its source (`comparing`).
    is_forced: builds although the engine is there.
    """

    source: Path
    folder: Path
    library: EngineLibrary = "tensorrt_rtx"
    precision: Precision | None = None
    name: str = ""
    recipe: str = ""
    capabilities: tuple[str, ...] = ()
    profiles: dict[str, Profile] = field(default_factory=dict[str, Profile])
    cut_inputs: tuple[str, ...] = ()
    cut_outputs: tuple[str, ...] = ()
    keeps_io: bool = True
    workspace_bytes: int = 0
    is_compared: bool = True
    is_forced: bool = False


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
    _rewriting_libraries()
    source = find_source(request.source)
    planned, model = _plan(request, source, library, _gpu(find_gpu), rebuild)
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
            artifact = _build(request, planned, model, target, progress)
            outcome = "built"
    return BuildResult(target, artifact, outcome, time.perf_counter() - started_s)


def _plan(
    request: BuildRequest, source: Source, library: Any, gpu: Gpu | None, rebuild: Sequence[str]
) -> tuple[Artifact, Any]:
    """The manifest as far as it is known before the build, its key with it, and the network."""
    recipe = find_recipe(request.recipe)
    targets = ADAPTERS[request.library].targets(library, request.capabilities, gpu)
    cut_inputs = request.cut_inputs or recipe.cut_inputs
    cut_outputs = request.cut_outputs or recipe.cut_outputs
    sources = source_hashes(source.path)
    model = load_network(source.path)
    if cut_inputs or cut_outputs:
        model = cut(model, cut_inputs, cut_outputs)
    exported = source.manifest.profiles if source.manifest else {}
    flags = {
        "passes": REVISION,
        "cut": f"{','.join(cut_inputs)}->{','.join(cut_outputs)}",
        "io": "float32" if request.keeps_io else "as the network",
        "workspace_bytes": str(request.workspace_bytes),
    }
    planned = Artifact(
        kind=request.recipe or (source.manifest.kind if source.manifest else source.path.stem),
        precision=request.precision or (source.manifest.precision if source.manifest else "fp16"),
        runtime=request.library,
        sources=sources,
        files={},
        libraries={request.library: str(library.__version__), **_rewriting_libraries()},
        rebuild=shlex.join(rebuild),
        profiles=chosen_profiles(
            network_inputs(model), request.profiles, exported, recipe.profiles
        ),
        compute_capabilities=targets.compute_capabilities,
        device=targets.device,
        source_path=str(source.path),
        cuda_major=cuda_major_of(request.library, gpu),
        flags=flags,
    )
    return msgspec.structs.replace(planned, key=engine_key(planned)), model


def _present(target: Path, planned: Artifact) -> Artifact | None:
    """The engine that is there, if it is whole and would come out the same."""
    try:
        artifact = intact_engine(target)
    except ModelError:
        return None
    return artifact if artifact.key == planned.key else None


def _build(
    request: BuildRequest, planned: Artifact, model: Any, target: Path, progress: BuildProgress
) -> Artifact:
    network_bytes = model.ByteSize()
    check_memory(network_bytes, workspace_bytes=request.workspace_bytes)
    check_disk(request.folder, network_bytes)
    progress.step(Step(phase="rewriting the network", done=0, total=1))
    masks = find_recipe(request.recipe).masks
    feeds = random_feeds(network_inputs(model), planned.profiles, masks)
    is_compared = request.is_compared and network_bytes < _LARGE_BYTES
    before = run_network(model.SerializeToString(), feeds) if is_compared else None
    model, changes = rewrite(model, planned.precision, keeps_io=request.keeps_io)
    with replaced_directory(target) as directory:
        network = directory / "network.onnx"
        save_network(model, network)
        after = None if before is None else run_rewritten(model, feeds)
        del model
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
        artifact = msgspec.structs.replace(
            planned,
            files={ENGINE_NAME: describe_file(directory / ENGINE_NAME)},
            inputs=built.inputs,
            outputs=built.outputs,
            checks=compared(before, after, planned.precision, changes),
            details=_details(built, changes),
        )
        write_artifact(directory, artifact)
    return artifact


def _details(built: Built, changes: dict[str, int]) -> dict[str, str | int | float]:
    return {
        "passes": describe(changes),
        "build_s": round(built.build_s, 3),
        "peak_memory_bytes": built.peak_memory_bytes,
        "layers": built.layers,
        "warnings": len(built.warnings),
    }


def _rewriting_libraries() -> dict[str, str]:
    """Versions of what the passes use. Raises ConfigError where it is not installed."""
    try:
        return {name: version(name) for name in ("onnx", "onnxruntime")}
    except PackageNotFoundError as error:
        raise ConfigError(
            f"{error.name} is not installed; pip install 'halfsecond[prepare]' brings it"
        ) from error


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
