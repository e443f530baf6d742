"""Reading a language model from a GGUF file, and what `models fetch` makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from halfsecond_export.prepare.ctranslate2_decoder import write_ctranslate2
from halfsecond_export.prepare.gguf_file import GgufFile
from halfsecond_export.prepare.gguf_network import DETAILS, read_architecture, read_network
from halfsecond_export.prepare.gguf_tokenizer import build_tokenizer, read_chat, read_tokens
from halfsecond_export.prepare.language_model import LanguageModel
from halfsecond_export.prepare.onnx_llm import write_onnx


def read_gguf(source: Path) -> LanguageModel:
    """The model of a file, with its weights in float32.

    Raises ModelCorruptError, and UnsupportedModelError for another family, tokenizer or rotary
    embedding, and for a model without a chat template.
    """
    file = GgufFile(source)
    architecture = read_architecture(file)
    tokens, kinds = read_tokens(file, architecture.vocabulary)
    tokenizer = build_tokenizer(file, tokens, kinds)
    chat = read_chat(file, tokens, kinds)
    return LanguageModel(
        architecture=architecture,
        network=read_network(file, architecture),
        tokens=tokens,
        tokenizer_json=tokenizer.to_str(pretty=False),
        chat=chat,
        details=file.texts(DETAILS),
    )


def convert_gguf_files(source: Path, directory: Path, *, quantization: str) -> dict[str, Any]:
    """Writes a CTranslate2 model, its tokenizer and `chat.json` into an empty directory.

    Returns what the file says about itself: name, licence, sizes. Raises ModelCorruptError,
    UnsupportedModelError and ConfigError.
    """
    model = read_gguf(source)
    write_ctranslate2(model, directory, quantization=quantization)
    return {**model.details, "architecture": model.architecture.details()}


def convert_gguf_to_onnx_files(
    source: Path, directory: Path, *, quantization: str
) -> dict[str, Any]:
    """Writes `model.onnx` with its data, the tokenizer and `chat.json` into an empty directory.

    Returns what the file says about itself: name, licence, sizes. Raises ModelCorruptError,
    UnsupportedModelError and ConfigError.
    """
    model = read_gguf(source)
    write_onnx(model, directory, quantization=quantization)
    return {**model.details, "architecture": model.architecture.details()}
