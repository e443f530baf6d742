"""The forms that the runtime takes of a model as they are, and the manifests beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from halfsecond.artifact import (
    Artifact,
    Check,
    Precision,
    Runtime,
    describe_file,
    write_artifact,
)
from halfsecond.store.hashes import sha256_of

Progress = Callable[[float, str], None]
"""Told what part of an export is done, 0 to 1, and what is being done."""


@dataclass(frozen=True)
class Format:
    """One form of a model."""

    runtime: Runtime
    precision: Precision
    quantization: str
    """In the words of what writes it."""

    @property
    def compute_type(self) -> str:
        """With which CTranslate2 compares it on a CPU, where it computes in float32 what is kept in
        float16."""
        return "int8" if self.precision.startswith("int8") else "float32"


ONNX_FORMATS: Mapping[str, Format] = {
    "onnx-int8": Format("onnxruntime", "int8", "int8"),
    "onnx-fp32": Format("onnxruntime", "fp32", "float32"),
}
CTRANSLATE2_FORMATS: Mapping[str, Format] = {
    "ctranslate2-int8": Format("ctranslate2", "int8", "int8"),
    "ctranslate2-int8_float16": Format("ctranslate2", "int8_fp16", "int8_float16"),
    "ctranslate2-float16": Format("ctranslate2", "fp16", "float16"),
}


def hashes_of(files: Iterable[Path]) -> dict[str, str]:
    """What a manifest says of the files that a model was read from."""
    return {path.name: sha256_of(path) for path in files}


def write_manifest(
    directory: Path,
    form: Format,
    *,
    kind: str,
    sources: Mapping[str, str],
    rebuild: str,
    checks: tuple[Check, ...],
    details: Mapping[str, str | int | float],
    libraries: Iterable[str] = ("ctranslate2", "onnx"),
) -> Artifact:
    """Leaves in `directory` what is known of the model that lies there; gives it.

    sources: of `hashes_of`. rebuild: the command that writes the directory again.
    libraries: packages that had a part in it.
    """
    artifact = Artifact(
        kind=kind,
        precision=form.precision,
        runtime=form.runtime,
        sources=dict(sources),
        files={path.name: describe_file(path) for path in sorted(directory.iterdir())},
        libraries={package: version(package) for package in libraries},
        rebuild=rebuild,
        checks=checks,
        details=dict(details),
    )
    write_artifact(directory, artifact)
    return artifact
