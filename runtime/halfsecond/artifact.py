"""What was exported or built, and from what: a manifest beside the files, written last.

A directory without a manifest, or whose files are not those that it lists, is not an artifact. One
that missed a tolerance keeps its manifest, which says `rejected` and why, and is not opened.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from halfsecond.errors import (
    ConfigError,
    ModelCorruptError,
    ModelMissingError,
    UnsupportedModelError,
)
from halfsecond.store.hashes import sha256_of, write_atomically

MANIFEST_NAME = "artifact.json"

Precision: TypeAlias = Literal["fp32", "fp16", "int8", "int8_fp16"]
Runtime: TypeAlias = Literal["onnxruntime", "ctranslate2", "tensorrt", "tensorrt_rtx", "halfsecond"]
"""What runs it; "halfsecond": data of our own."""


class Tensor(msgspec.Struct, frozen=True, kw_only=True):
    """An input or output; a text in `shape` names a size that varies."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """The shapes of one input that an engine is built for."""

    smallest: tuple[int, ...]
    typical: tuple[int, ...]
    largest: tuple[int, ...]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One measure of how near the artifact is to its source, on real input.

    Exactly one of `at_most` and `at_least` is the tolerance; with neither it is only reported.
    """

    what: str
    value: float
    unit: str = ""
    n: int = 1
    at_most: float | None = None
    at_least: float | None = None

    @property
    def is_met(self) -> bool:
        """Whether the value keeps its tolerance; a NaN keeps none."""
        if self.at_most is not None and not self.value <= self.at_most:
            return False
        return self.at_least is None or self.value >= self.at_least


class ArtifactFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the artifact as it was when it was written."""

    size_bytes: int
    sha256: str


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """The manifest.

    kind: what it is: "wav2lip", "whisper-encoder" ...
    sources: SHA-256 of what it was made from, by file name.
    libraries: full versions of what made it.
    profiles: by the name of an input.
    compute_capabilities: of the GPUs that an engine runs on ("8.9"); empty for what is no engine.
    device: the GPU that it was built on; empty where it was built without one.
    rebuild: the command that makes it again.

    For engines only (`halfsecond.engine`):
    source_path: where the network lay, to see later whether it changed.
    cuda_major: of the library that built it.
    flags: what else decides how the engine comes out.
    key: SHA-256 over everything that decides it.
    """

    kind: str
    precision: Precision
    runtime: Runtime
    sources: dict[str, str]
    files: dict[str, ArtifactFile]
    libraries: dict[str, str]
    rebuild: str
    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()
    profiles: dict[str, Profile] = {}
    compute_capabilities: tuple[str, ...] = ()
    device: str = ""
    checks: tuple[Check, ...] = ()
    details: dict[str, str | int | float] = {}
    source_path: str = ""
    cuda_major: int = 0
    flags: dict[str, str] = {}
    key: str = ""
    format: int = 1

    @property
    def missed(self) -> tuple[Check, ...]:
        """The tolerances that it does not keep."""
        return tuple(check for check in self.checks if not check.is_met)

    @property
    def is_rejected(self) -> bool:
        """Whether it must not be used."""
        return bool(self.missed)


def describe_file(path: Path) -> ArtifactFile:
    """Size and hash of a file as it is now."""
    return ArtifactFile(size_bytes=path.stat().st_size, sha256=sha256_of(path))


def write_artifact(directory: Path, artifact: Artifact) -> None:
    """Writes the manifest; the files must be there already."""
    encoded = msgspec.json.format(msgspec.json.encode(artifact), indent=2)
    write_atomically(directory / MANIFEST_NAME, encoded + b"\n")


def read_artifact(directory: Path) -> Artifact:
    """The manifest of a directory, its files unread.

    Raises:
        ModelMissingError: there is none.
        ModelCorruptError: it cannot be parsed.
    """
    path = directory / MANIFEST_NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=Artifact)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ModelMissingError(
            f"no artifact in {directory}: {MANIFEST_NAME} is not there; "
            "make one with `halfsecond export` or `halfsecond engines build`"
        ) from error
    except msgspec.DecodeError as error:
        raise ModelCorruptError(
            f"{path} cannot be read ({error}); make the artifact anew"
        ) from error


def is_directory_name(model: str) -> bool:
    """Whether a config's `model` names a directory, and not an entry of the catalog."""
    return "/" in model


def artifact_of_kind(model: str, kind: str) -> Path:
    """The directory of an artifact that may be used as what it is wanted for.

    Raises what `verified_artifact` does, and ConfigError for an artifact of another kind.
    """
    directory = Path(model).expanduser()
    artifact = verified_artifact(directory)
    if artifact.kind != kind:
        raise ConfigError(f"{directory} holds a {artifact.kind}, expected a {kind}")
    return directory


def verified_artifact(directory: Path) -> Artifact:
    """The manifest of an artifact that may be used: every file is hashed.

    Raises:
        ModelMissingError, ModelCorruptError: as `read_artifact`; or a file is gone or changed.
        UnsupportedModelError: it missed a tolerance when it was made.
    """
    artifact = read_artifact(directory)
    for name, expected in artifact.files.items():
        path = directory / name
        again = f"make it again: {artifact.rebuild}"
        if not path.is_file():
            raise ModelCorruptError(f"{path} is gone; {again}")
        size_bytes = path.stat().st_size
        if size_bytes != expected.size_bytes:
            raise ModelCorruptError(
                f"{path} has {size_bytes} bytes, expected {expected.size_bytes}; {again}"
            )
        if sha256_of(path) != expected.sha256:
            raise ModelCorruptError(f"{path} is not what was written; {again}")
    if artifact.is_rejected:
        reasons = ", ".join(f"{c.what} {c.value:.4g}{c.unit}" for c in artifact.missed)
        raise UnsupportedModelError(f"the artifact in {directory} was rejected: {reasons}")
    return artifact
