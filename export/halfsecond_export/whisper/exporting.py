"""A Whisper in every form that the runtime or TensorRT takes, each compared with its weights."""

from __future__ import annotations

import tempfile
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
from halfsecond.errors import ConfigError
from halfsecond.models.asr.whisper import Whisper
from halfsecond.store.hashes import sha256_of
from halfsecond_export.prepare.request import replaced_directory
from halfsecond_export.whisper.ctranslate2_model import write_ctranslate2
from halfsecond_export.whisper.parity import (
    TOLERANCES,
    words_check,
)
from halfsecond_export.whisper.portable import PORTABLE, export_portable
from halfsecond_export.whisper.reference import (
    Progress,
    Reference,
    Request,
    details,
    words_of,
    write_onnx,
)


@dataclass(frozen=True)
class Format:
    """One form of the model."""

    runtime: Runtime
    precision: Precision
    quantization: str
    """In the words of what writes it."""


FORMATS: dict[str, Format] = {
    "onnx-int8": Format("onnxruntime", "int8", "int8"),
    "onnx-fp32": Format("onnxruntime", "fp32", "float32"),
    "ctranslate2-int8": Format("ctranslate2", "int8", "int8"),
    "ctranslate2-int8_float16": Format("ctranslate2", "int8_fp16", "int8_float16"),
    "ctranslate2-float16": Format("ctranslate2", "fp16", "float16"),
}
"""What the runtime takes as it is."""


def export(request: Request, *, progress: Progress) -> dict[str, Artifact]:
    """Writes each format into a directory of its name below `out`; gives the manifests.

    A format that misses its tolerance is written, and its manifest says that it is rejected.

    Raises ConfigError for an unknown format.
    """
    every = (*FORMATS, *PORTABLE)
    if unknown := sorted(set(request.formats) - set(every)):
        raise ConfigError(f"there is no format {', '.join(unknown)}; there are {', '.join(every)}")
    names = [name for name in request.formats if name in FORMATS]
    done: dict[str, Artifact] = export_portable(request, progress=progress)
    if not names:
        return done
    with tempfile.TemporaryDirectory(prefix="halfsecond-whisper-") as work:
        progress(0.0, "the weights in float32, to compare with")
        reference = Reference(request, Path(work))
        for at, name in enumerate(names):
            progress((at + 0.5) / (len(names) + 1), name)
            done[name] = _export_one(request, name, reference)
        reference.close()
    progress(1.0, "")
    return done


def _export_one(request: Request, name: str, reference: Reference) -> Artifact:
    form = FORMATS[name]
    with replaced_directory(request.out / name) as directory:
        if form.runtime == "ctranslate2":
            write_ctranslate2(request.source, directory, quantization=form.quantization)
        else:
            write_onnx(request.source, request.source.network, directory, form.quantization)
        checks = (*_compared(request, form, directory, reference), reference.control)
        artifact = Artifact(
            kind="whisper",
            precision=form.precision,
            runtime=form.runtime,
            sources={path.name: sha256_of(path) for path in request.source.files},
            files={path.name: describe_file(path) for path in sorted(directory.iterdir())},
            libraries={package: version(package) for package in ("ctranslate2", "onnx")},
            rebuild=f"{request.rebuild} --format {name}",
            checks=checks,
            details=details(request.source.network),
        )
        write_artifact(directory, artifact)
    return artifact


def _compared(
    request: Request, form: Format, directory: Path, reference: Reference
) -> tuple[Check, ...]:
    # CTranslate2 on a CPU computes in float32 what is kept in float16.
    compute_type = "int8" if form.precision.startswith("int8") else "float32"
    whisper = Whisper(directory, compute_type=compute_type, threads=request.threads)
    at_most = TOLERANCES[form.precision].words
    check = words_check(reference.hear, words_of(whisper), reference.recordings, at_most=at_most)
    whisper.close()
    return (check,)
