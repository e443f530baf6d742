"""The preparations that the catalog can ask for, by name."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from halfsecond.errors import ConfigError
from halfsecond_export.prepare.gguf_llm import convert_gguf_files, convert_gguf_to_onnx_files
from halfsecond_export.prepare.onnx_output import add_onnx_output
from halfsecond_export.prepare.onnx_whisper import convert_ctranslate2_whisper_files
from halfsecond_export.prepare.request import Preparer, PrepareRequest
from halfsecond_export.prepare.speaker_encoder import convert_speaker_encoder
from halfsecond_export.prepare.tflite import convert_tflite


def _tflite_to_onnx(request: PrepareRequest, directory: Path) -> Mapping[str, Any]:
    """Each source `<name>.tflite` becomes `<name>.onnx`."""
    request.checked_options("tflite-to-onnx")
    for name, path in request.sources.items():
        convert_tflite(path, directory / f"{Path(name).stem}.onnx")
    return {}


def _add_onnx_output(request: PrepareRequest, directory: Path) -> Mapping[str, Any]:
    """Options `tensor` and `name` say what to add to the one ONNX source; all keep their names."""
    options = request.checked_options("add-onnx-output", "tensor", "name")
    if not {"tensor", "name"} <= set(options):
        raise ConfigError(
            "add-onnx-output needs the options 'tensor' (the internal tensor) and 'name' "
            f"(what to call the output); got {sorted(options)}"
        )
    name, path = request.single_source("add-onnx-output", suffix=".onnx")
    add_onnx_output(path, directory / name, tensor=options["tensor"], name=options["name"])
    for other, source in request.sources.items():
        if other != name:
            (directory / other).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, directory / other)
    return {}


def _gguf_to_ctranslate2(request: PrepareRequest, directory: Path) -> Mapping[str, Any]:
    """Option `quantization`: int8 (the default), int8_float16, float16 or float32."""
    options = request.checked_options("gguf-to-ctranslate2", "quantization")
    _, path = request.single_source("gguf-to-ctranslate2")
    return convert_gguf_files(path, directory, quantization=options.get("quantization", "int8"))


def _gguf_to_onnx(request: PrepareRequest, directory: Path) -> Mapping[str, Any]:
    """Option `quantization`: int8 (the default) or float32."""
    options = request.checked_options("gguf-to-onnx", "quantization")
    _, path = request.single_source("gguf-to-onnx")
    return convert_gguf_to_onnx_files(
        path, directory, quantization=options.get("quantization", "int8")
    )


def _ctranslate2_whisper_to_onnx(request: PrepareRequest, directory: Path) -> Mapping[str, Any]:
    """Option `quantization`: int8 (the default) or float32."""
    options = request.checked_options("ctranslate2-whisper-to-onnx", "quantization")
    return convert_ctranslate2_whisper_files(
        request.sources, directory, quantization=options.get("quantization", "int8")
    )


def _resemblyzer_to_onnx(request: PrepareRequest, directory: Path) -> Mapping[str, Any]:
    request.checked_options("resemblyzer-to-onnx")
    _, path = request.single_source("resemblyzer-to-onnx", suffix=".pt")
    return convert_speaker_encoder(path, directory)


_GGUF_TO_CTRANSLATE2 = Preparer(
    "gguf-to-ctranslate2", 2, _gguf_to_ctranslate2, ("ctranslate2", "gguf", "jinja2", "tokenizers")
)
_GGUF_TO_ONNX = Preparer("gguf-to-onnx", 2, _gguf_to_onnx, ("gguf", "onnx", "tokenizers"))
_CTRANSLATE2_WHISPER_TO_ONNX = Preparer(
    "ctranslate2-whisper-to-onnx", 1, _ctranslate2_whisper_to_onnx, ("onnx",)
)

PREPARERS: Mapping[str, Callable[[PrepareRequest], None]] = {
    preparer.name: preparer
    for preparer in (
        Preparer("tflite-to-onnx", 1, _tflite_to_onnx, ("onnx", "tflite")),
        _GGUF_TO_CTRANSLATE2,
        _GGUF_TO_ONNX,
        _CTRANSLATE2_WHISPER_TO_ONNX,
        Preparer("add-onnx-output", 1, _add_onnx_output, ("onnx",)),
        Preparer("resemblyzer-to-onnx", 1, _resemblyzer_to_onnx, ("onnx",)),
    )
}


def convert_gguf(source: Path, target: Path, *, quantization: str = "int8") -> None:
    """Leaves a CTranslate2 model directory at `target`: complete, or not there at all.

    Raises ModelMissingError, ModelCorruptError, UnsupportedModelError and ConfigError.
    """
    options = {"quantization": quantization}
    _GGUF_TO_CTRANSLATE2(PrepareRequest({source.name: source}, target, options))


def convert_gguf_to_onnx(source: Path, target: Path, *, quantization: str = "int8") -> None:
    """Leaves a directory of an ONNX model at `target`: complete, or not there at all.

    Raises ModelMissingError, ModelCorruptError, UnsupportedModelError and ConfigError.
    """
    options = {"quantization": quantization}
    _GGUF_TO_ONNX(PrepareRequest({source.name: source}, target, options))
