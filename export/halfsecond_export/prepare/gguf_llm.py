"""Llama-family language models: GGUF to a CTranslate2 directory, without torch.

Names and layouts of the tensors are llama.cpp's (gguf-py, `constants.py`); the layout that
CTranslate2 wants is that of its own loaders for Hugging Face's Llama and Qwen2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsecond.errors import ConfigError, UnsupportedModelError
from halfsecond.models.llm.chat_template import read_chat
from halfsecond_export.prepare.gguf_file import GgufFile
from halfsecond_export.prepare.gguf_tokenizer import read_vocabulary, write_tokenizer
from halfsecond_export.prepare.smoothing import calibration_conversations, smooth_decoder

QUANTIZATIONS = ("int8", "int8_float16", "float16", "float32")

# Whether llama.cpp stored the query and key rows of a head in pairs (x0, x32, x1, x33, ...) rather
# than in halves. It does so for the architectures whose rotary embedding it computes on pairs.
_HAS_PAIRED_ROTARY: Mapping[str, bool] = {"llama": True, "qwen2": False}

_DETAILS = (
    "general.name",
    "general.organization",
    "general.license",
    "general.license.link",
    "general.source.url",
    "general.base_model.0.repo_url",
    "general.size_label",
)


@dataclass(frozen=True)
class Architecture:
    """The sizes of a Llama-family network; `head_size` and widths count numbers per token."""

    family: str
    layers: int
    width: int
    inner_width: int
    heads: int
    key_heads: int
    head_size: int
    vocabulary: int
    context_tokens: int
    rotary_base: float
    norm_epsilon: float


def convert_gguf_files(source: Path, directory: Path, *, quantization: str) -> dict[str, Any]:
    """Writes a CTranslate2 model, its tokenizer and `chat.json` into an empty directory.

    Returns what the file says about itself: name, licence, sizes. Raises ModelCorruptError,
    UnsupportedModelError and ConfigError.
    """
    if quantization not in QUANTIZATIONS:
        raise ConfigError(
            f"quantization {quantization!r} is not supported; valid: {', '.join(QUANTIZATIONS)}"
        )
    file = GgufFile(source)
    architecture = read_architecture(file)
    vocabulary = read_vocabulary(file, architecture.vocabulary)
    write_tokenizer(file, vocabulary, directory, context_tokens=architecture.context_tokens)
    spec = build_spec(file, architecture)
    if file.unread_tensors:
        raise UnsupportedModelError(
            f"{file.name}: {len(file.unread_tensors)} tensors have no place in the "
            f"{architecture.family} architecture: {', '.join(file.unread_tensors[:5])}"
        )
    if quantization.startswith("int8"):
        smooth_decoder(spec.decoder, architecture, _calibration_prompts(directory))
    spec.register_vocabulary(vocabulary.tokens)
    # Beginnings are part of the prompt, so CTranslate2's own are only names that must exist.
    spec.config.bos_token = vocabulary.bos_token or vocabulary.eos_token
    spec.config.eos_token = vocabulary.eos_token
    spec.config.unk_token = vocabulary.unknown_token
    spec.config.layer_norm_epsilon = architecture.norm_epsilon
    spec.validate()
    spec.optimize(quantization=quantization)
    spec.save(str(directory))
    return {**file.texts(_DETAILS), "architecture": vars(architecture)}


def _calibration_prompts(directory: Path) -> list[list[int]]:
    """Conversations in the model's own format, as token ids."""
    from tokenizers import Tokenizer

    template, _ = read_chat(directory / "chat.json")
    tokenizer: Any = Tokenizer.from_file(str(directory / "tokenizer.json"))
    texts = [template.render(messages) for messages in calibration_conversations()]
    return [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]


def read_architecture(file: GgufFile) -> Architecture:
    """Returns the sizes. Raises UnsupportedModelError for another family or a rotary variant."""
    family = file.value("general.architecture", str)
    if family not in _HAS_PAIRED_ROTARY:
        raise UnsupportedModelError(
            f"{file.name}: architecture {family!r} is not supported; "
            f"supported: {', '.join(_HAS_PAIRED_ROTARY)}"
        )
    heads = file.value(f"{family}.attention.head_count", int)
    width = file.value(f"{family}.embedding_length", int)
    head_size = file.value(f"{family}.attention.key_length", int, width // heads)
    rotary_size = file.value(f"{family}.rope.dimension_count", int, head_size)
    scaling = file.value(f"{family}.rope.scaling.type", str, "none")
    if rotary_size != head_size or scaling != "none" or file.has_tensor("rope_freqs.weight"):
        raise UnsupportedModelError(
            f"{file.name}: only plain rotary embeddings over the whole head are supported; this "
            f"file has {rotary_size} of {head_size} dimensions, scaling {scaling!r}, frequency "
            f"factors: {file.has_tensor('rope_freqs.weight')}"
        )
    return Architecture(
        family=family,
        layers=file.value(f"{family}.block_count", int),
        width=width,
        inner_width=file.value(f"{family}.feed_forward_length", int),
        heads=heads,
        key_heads=file.value(f"{family}.attention.head_count_kv", int, heads),
        head_size=head_size,
        vocabulary=len(file.value("tokenizer.ggml.tokens", list)),
        context_tokens=file.value(f"{family}.context_length", int),
        rotary_base=file.value(f"{family}.rope.freq_base", float, 10_000.0),
        norm_epsilon=file.value(f"{family}.attention.layer_norm_rms_epsilon", float),
    )


def build_spec(file: GgufFile, architecture: Architecture) -> Any:
    """Returns the `TransformerDecoderModelSpec` with all weights in float32."""
    from ctranslate2.specs import Activation, TransformerDecoderModelSpec

    a = architecture
    spec = TransformerDecoderModelSpec.from_config(
        a.layers,
        a.heads,
        activation=Activation.SWISH,
        pre_norm=True,
        ffn_glu=True,
        rms_norm=True,
        rotary_dim=0,
        rotary_interleave=False,
        rotary_base=a.rotary_base,
        num_heads_kv=a.key_heads if a.key_heads != a.heads else None,
        head_dim=a.head_size if a.head_size * a.heads != a.width else None,
    )
    # Any: the library declares every weight as None until it is set.
    decoder: Any = spec.decoder
    decoder.scale_embeddings = False
    embeddings = file.tensor("token_embd.weight", (a.vocabulary, a.width))
    decoder.embeddings.weight = embeddings
    decoder.layer_norm.gamma = file.tensor("output_norm.weight", (a.width,))
    if file.has_tensor("output.weight"):
        decoder.projection.weight = file.tensor("output.weight", (a.vocabulary, a.width))
    else:
        # Small models use the embeddings again; CTranslate2 then stores them once.
        decoder.projection.weight = embeddings
    for index, layer in enumerate(decoder.layer):
        _fill_attention(file, a, index, layer.self_attention)
        _fill_feed_forward(file, a, index, layer.ffn)
    return spec


def _fill_attention(file: GgufFile, a: Architecture, index: int, attention: Any) -> None:
    prefix = f"blk.{index}"
    attention.layer_norm.gamma = file.tensor(f"{prefix}.attn_norm.weight", (a.width,))
    weights, biases = [], []
    for name, heads in (("attn_q", a.heads), ("attn_k", a.key_heads), ("attn_v", a.key_heads)):
        rows = heads * a.head_size
        weight = file.tensor(f"{prefix}.{name}.weight", (rows, a.width))
        has_bias = file.has_tensor(f"{prefix}.{name}.bias")
        bias = (
            file.tensor(f"{prefix}.{name}.bias", (rows,))
            if has_bias
            else np.zeros(rows, np.float32)
        )
        if _HAS_PAIRED_ROTARY[a.family] and name != "attn_v":
            weight, bias = _halves(weight, heads), _halves(bias, heads)
        weights.append(weight)
        biases.append((has_bias, bias))
    attention.linear[0].weight = np.concatenate(weights)
    if any(has_bias for has_bias, _ in biases):
        attention.linear[0].bias = np.concatenate([bias for _, bias in biases])
    output = f"{prefix}.attn_output"
    attention.linear[1].weight = file.tensor(f"{output}.weight", (a.width, a.heads * a.head_size))
    if file.has_tensor(f"{output}.bias"):
        attention.linear[1].bias = file.tensor(f"{output}.bias", (a.width,))


def _fill_feed_forward(file: GgufFile, a: Architecture, index: int, ffn: Any) -> None:
    prefix = f"blk.{index}"
    ffn.layer_norm.gamma = file.tensor(f"{prefix}.ffn_norm.weight", (a.width,))
    ffn.linear_0.weight = file.tensor(f"{prefix}.ffn_gate.weight", (a.inner_width, a.width))
    ffn.linear_0_noact.weight = file.tensor(f"{prefix}.ffn_up.weight", (a.inner_width, a.width))
    ffn.linear_1.weight = file.tensor(f"{prefix}.ffn_down.weight", (a.width, a.inner_width))


def _halves(rows: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Rows of each head from pairs (x0, y0, x1, y1, ...) to halves (x0, x1, ..., y0, y1, ...)."""
    pairs = rows.reshape(heads, rows.shape[0] // heads // 2, 2, -1)
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(rows.shape)
