"""TensorRT engines that may be used on this machine, and why another may not.

An engine runs only where, and with what, it was built for. Its manifest (`halfsecond.artifact`)
says that; its key is a hash over all that decides how it comes out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from halfsecond.artifact import Artifact, verified_artifact
from halfsecond.engine_library import (
    LIBRARIES,
    cuda_major_of,
    library_log,
    load_library,
)
from halfsecond.errors import (
    ConfigError,
    EngineBuildError,
    ModelCorruptError,
    NoGpuError,
    UnsupportedModelError,
)
from halfsecond.gpu import Gpu, this_gpu
from halfsecond.store.hashes import sha256_of

ENGINE_NAME = "engine.plan"


@dataclass(frozen=True)
class Machine:
    """What an engine is held against.

    versions: full versions of the TensorRT libraries that are installed, by module.
    cuda_majors: what these were made for, 0 where they do not tell.
    no_gpu: why there is no GPU, where there is none.
    """

    versions: dict[str, str]
    cuda_majors: dict[str, int] = field(default_factory=dict[str, int])
    gpu: Gpu | None = None
    no_gpu: str = ""


def this_machine(find_gpu: Callable[[], Gpu] = this_gpu) -> Machine:
    """The libraries and the GPU that are here."""
    gpu, no_gpu = None, ""
    try:
        gpu = find_gpu()
    except NoGpuError as error:
        no_gpu = str(error)
    versions, cuda_majors = {}, {}
    for name in LIBRARIES:
        try:
            versions[name] = str(load_library(name).__version__)
        except ConfigError:
            continue
        cuda_majors[name] = cuda_major_of(name, gpu)
    return Machine(versions, cuda_majors, gpu, no_gpu)


def engine_key(artifact: Artifact) -> str:
    """SHA-256 over what decides an engine: two builds with the same key are interchangeable.

    The engine's own bytes are no key: they differ from build to build.
    """
    decides = (
        sorted(artifact.sources.items()),
        artifact.runtime,
        artifact.libraries.get(artifact.runtime, ""),
        artifact.cuda_major,
        sorted(artifact.compute_capabilities),
        artifact.device,
        artifact.precision,
        sorted(artifact.profiles.items()),
        sorted(artifact.flags.items()),
    )
    return hashlib.sha256(msgspec.json.encode(decides)).hexdigest()


def intact_engine(directory: Path) -> Artifact:
    """The manifest of an engine whose files and source are those that it was built from.

    Every file is hashed, the source too where it is still there. The machine is not looked at.

    Raises:
        ModelMissingError, ModelCorruptError, UnsupportedModelError: as `verified_artifact`.
        ModelCorruptError: the manifest was edited.
        UnsupportedModelError: this is no engine, or its source has changed since.
    """
    artifact = verified_artifact(directory)
    if artifact.runtime not in LIBRARIES or ENGINE_NAME not in artifact.files:
        raise UnsupportedModelError(
            f"{directory} holds a {artifact.kind} for {artifact.runtime}, no TensorRT engine; "
            "`halfsecond engines build` makes one"
        )
    if artifact.key != engine_key(artifact):
        raise ModelCorruptError(
            f"the manifest in {directory} is not what was written{_again(artifact)}"
        )
    source = Path(artifact.source_path)
    for name, expected in artifact.sources.items():
        path = source.parent / name
        if path.is_file() and sha256_of(path) != expected:
            raise UnsupportedModelError(
                f"the engine in {directory} is stale: {path} has changed since{_again(artifact)}"
            )
    return artifact


def usable_engine(directory: Path, machine: Machine | None = None) -> Artifact:
    """The manifest of an engine that may be opened on a machine, by default this one.

    Raises:
        as `intact_engine`; NoGpuError; ConfigError where the library is not installed.
        UnsupportedModelError: it was built for another machine or another version.
    """
    artifact = intact_engine(directory)
    machine = machine or this_machine()
    check_version(directory, artifact, machine)
    check_gpu(directory, artifact, machine)
    return artifact


def check_version(directory: Path, artifact: Artifact, machine: Machine) -> None:
    """Says whether the library is here, and the one that built it.

    Raises ConfigError where it is not installed and UnsupportedModelError where it is another.
    """
    name = artifact.runtime
    if name not in machine.versions:
        raise ConfigError(f"{directory} needs {name}, which is not here; {LIBRARIES[name]}")
    built_with = f"{name} {artifact.libraries.get(name)}"
    found = f"{name} {machine.versions[name]}"
    cuda_major = machine.cuda_majors.get(name, 0)
    if artifact.cuda_major and cuda_major:
        built_with += f" for CUDA {artifact.cuda_major}"
        found += f" for CUDA {cuda_major}"
    if found != built_with:
        raise UnsupportedModelError(
            f"the engine in {directory} is stale: it was built with {built_with}, "
            f"here is {found}{_again(artifact)}"
        )


def check_gpu(directory: Path, artifact: Artifact, machine: Machine) -> None:
    """Says whether the GPU is one that the engine was built for.

    Raises NoGpuError where there is none and UnsupportedModelError where it is another.
    """
    gpu = machine.gpu
    if gpu is None:
        raise NoGpuError(machine.no_gpu or "no GPU here")
    if gpu.compute_capability not in artifact.compute_capabilities:
        # A command that names its GPUs must name this one too.
        more = f" --sm {gpu.compute_capability}" if " --sm " in artifact.rebuild else ""
        raise UnsupportedModelError(
            f"the engine in {directory} is for compute capability "
            f"{', '.join(artifact.compute_capabilities)}; here is {gpu.name} with "
            f"{gpu.compute_capability}{_again(artifact)}{more}"
        )
    if artifact.device and artifact.device != gpu.name:
        raise UnsupportedModelError(
            f"the engine in {directory} was built on {artifact.device}; "
            f"here is {gpu.name}{_again(artifact)}"
        )


def open_engine(directory: Path, machine: Machine | None = None) -> Any:
    """The deserialised ICudaEngine of a directory.

    Raises:
        as `usable_engine`; EngineBuildError where the library refuses it all the same.
    """
    artifact = usable_engine(directory, machine)
    library = load_library(artifact.runtime)
    log = library_log(library)
    log.take()
    runtime = library.Runtime(log.logger)
    engine = runtime.deserialize_cuda_engine((directory / ENGINE_NAME).read_bytes())
    said = "; ".join(log.take())
    if engine is None and "cudaError 35" in said:
        raise NoGpuError(f"no GPU here: {artifact.runtime} finds no driver for its CUDA")
    if engine is None:
        raise EngineBuildError(
            f"{artifact.runtime} refuses the engine in {directory}: {said or 'without a word'}"
            f"{_again(artifact)}"
        )
    return engine


def _again(artifact: Artifact) -> str:
    return f"; build it again: {artifact.rebuild}"
