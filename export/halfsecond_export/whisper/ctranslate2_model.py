"""Writing a Whisper for CTranslate2."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from halfsecond.errors import ConfigError
from halfsecond_export.prepare.whisper_network import (
    CrossAttention,
    FeedForward,
    Linear,
    Norm,
    SelfAttention,
)
from halfsecond_export.whisper.source import WhisperSource

QUANTIZATIONS = ("int8", "int8_float16", "float16", "float32")


def write_ctranslate2(source: WhisperSource, directory: Path, *, quantization: str) -> None:
    """Leaves `model.bin`, its config, vocabulary and tokenizer in an empty directory.

    Raises ConfigError for a quantization that is not one of `QUANTIZATIONS`.
    """
    if quantization not in QUANTIZATIONS:
        raise ConfigError(
            f"quantization {quantization!r} is not supported; valid: {', '.join(QUANTIZATIONS)}"
        )
    spec = _spec(source)
    spec.register_vocabulary(_vocabulary(source.tokenizer, len(source.network.embeddings)))
    config = source.decoding.as_config()
    for name, value in config.items():
        setattr(spec.config, name, value)
    spec.validate()
    spec.optimize(quantization=quantization)
    spec.save(str(directory))
    shutil.copyfile(source.tokenizer, directory / "tokenizer.json")


def _vocabulary(tokenizer: Path, size: int) -> list[str]:
    """The tokens by id; CTranslate2 wants as many as there are rows of embeddings."""
    content = json.loads(tokenizer.read_bytes())
    tokens = dict(content["model"]["vocab"])
    tokens |= {token["content"]: token["id"] for token in content["added_tokens"]}
    by_id = {number: token for token, number in tokens.items()}
    return [by_id.get(number, f"<|unused{number}|>") for number in range(size)]


def _spec(source: WhisperSource) -> Any:
    from ctranslate2.specs import WhisperSpec

    network = source.network
    # Any: the library declares every weight as None until it is set.
    spec: Any = WhisperSpec(
        len(network.encoder_layers), network.heads, len(network.decoder_layers), network.heads
    )
    encoder, decoder = spec.encoder, spec.decoder
    _fill(encoder.conv1, network.conv1)
    _fill(encoder.conv2, network.conv2)
    encoder.position_encodings.encodings = network.encoder_positions
    _fill_norm(encoder.layer_norm, network.encoder_norm)
    for filled, heard in zip(encoder.layer, network.encoder_layers, strict=True):
        _fill_attention(filled.self_attention, heard.attention)
        _fill_ffn(filled.ffn, heard.ffn)
    decoder.embeddings.weight = network.embeddings.copy()
    decoder.projection.weight = decoder.embeddings.weight
    decoder.position_encodings.encodings = network.decoder_positions
    _fill_norm(decoder.layer_norm, network.decoder_norm)
    for filled, written in zip(decoder.layer, network.decoder_layers, strict=True):
        _fill_attention(filled.self_attention, written.attention)
        _fill_cross(filled.attention, written.cross)
        _fill_ffn(filled.ffn, written.ffn)
    return spec


def _fill(filled: Any, linear: Linear) -> None:
    # CTranslate2 quantises in place: the network is to stay as it is.
    filled.weight, filled.bias = linear.weight.copy(), linear.bias.copy()


def _fill_norm(filled: Any, norm: Norm) -> None:
    filled.gamma, filled.beta = norm.weight, norm.bias


def _fill_attention(filled: Any, attention: SelfAttention) -> None:
    _fill_norm(filled.layer_norm, attention.norm)
    for linear, values in zip(filled.linear, (attention.packed, attention.out), strict=True):
        _fill(linear, values)


def _fill_cross(filled: Any, cross: CrossAttention) -> None:
    _fill_norm(filled.layer_norm, cross.norm)
    for linear, values in zip(filled.linear, (cross.query, cross.packed, cross.out), strict=True):
        _fill(linear, values)


def _fill_ffn(filled: Any, ffn: FeedForward) -> None:
    _fill_norm(filled.layer_norm, ffn.norm)
    _fill(filled.linear_0, ffn.up)
    _fill(filled.linear_1, ffn.down)
