"""A Whisper in every form that the runtime or TensorRT takes, each compared with its weights."""

from __future__ import annotations

import tempfile
from pathlib import Path

from halfsecond.artifact import Artifact, Check
from halfsecond.errors import ConfigError
from halfsecond.models.asr.whisper import Whisper
from halfsecond_export.formats import (
    CTRANSLATE2_FORMATS,
    ONNX_FORMATS,
    Format,
    Progress,
    hashes_of,
    write_manifest,
)
from halfsecond_export.prepare.request import replaced_directory
from halfsecond_export.whisper.ctranslate2_model import write_ctranslate2
from halfsecond_export.whisper.parity import (
    TOLERANCES,
    words_check,
)
from halfsecond_export.whisper.portable import PORTABLE, export_portable
from halfsecond_export.whisper.reference import (
    Reference,
    ReferenceFiles,
    Request,
    details,
    words_of,
    write_onnx,
)

FORMATS = {**ONNX_FORMATS, **CTRANSLATE2_FORMATS}
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
    with tempfile.TemporaryDirectory(prefix="halfsecond-whisper-") as work:
        files = ReferenceFiles(request, Path(work))
        done = export_portable(request, files, progress=progress)
        if not names:
            return done
        progress(0.0, "the weights in float32, to compare with")
        reference = Reference(request, files)
        sources = hashes_of(request.source.files)
        for at, name in enumerate(names):
            progress((at + 0.5) / (len(names) + 1), name)
            done[name] = _export_one(request, name, reference, sources)
        reference.close()
    progress(1.0, "")
    return done


def _export_one(
    request: Request, name: str, reference: Reference, sources: dict[str, str]
) -> Artifact:
    form = FORMATS[name]
    with replaced_directory(request.out / name) as directory:
        if form.runtime == "ctranslate2":
            write_ctranslate2(request.source, directory, quantization=form.quantization)
        else:
            write_onnx(request.source, request.source.network, directory, form.quantization)
        return write_manifest(
            directory,
            form,
            kind="whisper",
            sources=sources,
            rebuild=f"{request.rebuild} --format {name}",
            checks=(*_compared(request, form, directory, reference), reference.control),
            details=details(request.source.network),
        )


def _compared(
    request: Request, form: Format, directory: Path, reference: Reference
) -> tuple[Check, ...]:
    whisper = Whisper(directory, compute_type=form.compute_type, threads=request.threads)
    at_most = TOLERANCES[form.precision].words
    check = words_check(reference.hear, words_of(whisper), reference.recordings, at_most=at_most)
    whisper.close()
    return (check,)
