"""A Whisper in every form that the runtime or TensorRT takes, each compared with its weights."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

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
from halfsecond_export.prepare.onnx_whisper import (
    DECODER_NAME,
    DETAILS_NAME,
    ENCODER_NAME,
    decoder_graph,
    encoder_graph,
)
from halfsecond_export.prepare.request import replaced_directory
from halfsecond_export.prepare.whisper_network import WhisperNetwork
from halfsecond_export.whisper.ctranslate2_model import write_ctranslate2
from halfsecond_export.whisper.parity import (
    TOLERANCES,
    Hear,
    control_check,
    damaged,
    words_check,
)
from halfsecond_export.whisper.source import WhisperSource

Progress = Callable[[float, str], None]
CONTROL_RECORDINGS = 4


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


@dataclass(frozen=True)
class Request:
    """What to export, and where to."""

    source: WhisperSource
    out: Path
    recordings: Sequence[NDArray[np.float32]]
    """Speech to compare on, (n,) mono 16 kHz each."""
    formats: Sequence[str]
    rebuild: str
    """The command that does this again."""
    threads: int = 2


def export(request: Request, *, progress: Progress) -> dict[str, Artifact]:
    """Writes each format into a directory of its name below `out`; gives the manifests.

    A format that misses its tolerance is written, and its manifest says that it is rejected.

    Raises ConfigError for an unknown format.
    """
    if unknown := sorted(set(request.formats) - set(FORMATS)):
        raise ConfigError(
            f"there is no format {', '.join(unknown)}; there are {', '.join(FORMATS)}"
        )
    done: dict[str, Artifact] = {}
    with tempfile.TemporaryDirectory(prefix="halfsecond-whisper-") as work:
        progress(0.0, "the weights in float32, to compare with")
        reference = _Reference(request, Path(work))
        for at, name in enumerate(request.formats):
            progress((at + 0.5) / (len(request.formats) + 1), name)
            done[name] = _export_one(request, name, reference)
        reference.close()
    progress(1.0, "")
    return done


class _Reference:
    """What the weights say: CTranslate2 in float32, which is none of our own graphs."""

    def __init__(self, request: Request, work: Path) -> None:
        exact = work / "float32"
        exact.mkdir()
        write_ctranslate2(request.source, exact, quantization="float32")
        self._whisper = Whisper(exact, compute_type="float32", threads=request.threads)
        self._heard: dict[int, str] = {}
        broken = work / "damaged"
        broken.mkdir()
        _write_onnx(request.source, damaged(request.source.network), broken, "float32")
        other = Whisper(broken, threads=request.threads)
        # A few will do: a damaged decoder runs on and on.
        few = request.recordings[:CONTROL_RECORDINGS]
        self.control = control_check(self.hear, _hear(other), few)
        other.close()

    def hear(self, samples: NDArray[np.float32]) -> str:
        """The words, asked for once a recording."""
        key = id(samples)
        if key not in self._heard:
            self._heard[key] = _hear(self._whisper)(samples)
        return self._heard[key]

    def close(self) -> None:
        self._whisper.close()


def _export_one(request: Request, name: str, reference: _Reference) -> Artifact:
    form = FORMATS[name]
    with replaced_directory(request.out / name) as directory:
        if form.runtime == "ctranslate2":
            write_ctranslate2(request.source, directory, quantization=form.quantization)
        else:
            _write_onnx(request.source, request.source.network, directory, form.quantization)
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
            details=_details(request.source.network),
        )
        write_artifact(directory, artifact)
    return artifact


def _compared(
    request: Request, form: Format, directory: Path, reference: _Reference
) -> tuple[Check, ...]:
    # CTranslate2 on a CPU computes in float32 what is kept in float16.
    compute_type = "int8" if form.precision.startswith("int8") else "float32"
    whisper = Whisper(directory, compute_type=compute_type, threads=request.threads)
    at_most = TOLERANCES[form.precision].words
    check = words_check(reference.hear, _hear(whisper), request.recordings, at_most=at_most)
    whisper.close()
    return (check,)


def _write_onnx(
    source: WhisperSource, network: WhisperNetwork, directory: Path, quantization: str
) -> None:
    heads = source.decoding.alignment_heads
    encoder_graph(network, quantization=quantization).save(directory / ENCODER_NAME)
    decoder_graph(network, heads, quantization=quantization).save(directory / DECODER_NAME)
    (directory / DETAILS_NAME).write_text(json.dumps(source.decoding.as_config()) + "\n")
    shutil.copyfile(source.tokenizer, directory / "tokenizer.json")


def _hear(whisper: Whisper) -> Hear:
    return lambda samples: whisper.transcribe(samples).text


def _details(network: WhisperNetwork) -> dict[str, str | int | float]:
    return {
        "width": network.width,
        "heads": network.heads,
        "encoder_layers": len(network.encoder_layers),
        "decoder_layers": len(network.decoder_layers),
        "vocabulary": len(network.embeddings),
        "mels": network.mels,
    }
