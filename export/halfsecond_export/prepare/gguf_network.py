"""The network of a Llama-family GGUF file: its sizes, and its tensors as the families share them.

Names and layouts of the tensors are llama.cpp's (gguf-py, `constants.py`).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from halfsecond.errors import UnsupportedModelError
from halfsecond_export.prepare.decoder_network import (
    Architecture,
    Array,
    Layer,
    Network,
    RotaryScaling,
    rotary_factors,
)
from halfsecond_export.prepare.gguf_file import GgufFile

# Whether llama.cpp stored the query and key rows of a head in pairs (x0, x32, x1, x33, ...) rather
# than in halves. It does so for the architectures whose rotary embedding it computes on pairs.
_HAS_PAIRED_ROTARY: Mapping[str, bool] = {"llama": True, "qwen2": False, "qwen3": False}

DETAILS = (
    "general.name",
    "general.organization",
    "general.license",
    "general.license.link",
    "general.source.url",
    "general.base_model.0.repo_url",
    "general.size_label",
)


def read_network(file: GgufFile, a: Architecture) -> Network:
    """Reads all weights.

    Raises ModelCorruptError for one that is missing or has another shape, UnsupportedModelError
    for one that has no place.
    """
    embeddings = file.tensor("token_embd.weight", (a.vocabulary, a.width))
    layers = [_read_layer(file, a, f"blk.{index}") for index in range(a.layers)]
    output_norm = file.tensor("output_norm.weight", (a.width,))
    output = _optional(file, "output.weight", (a.vocabulary, a.width))
    if file.unread_tensors:
        raise UnsupportedModelError(
            f"{file.name}: {len(file.unread_tensors)} tensors have no place in the "
            f"{a.family} architecture: {', '.join(file.unread_tensors[:5])}"
        )
    return Network(embeddings, layers, output_norm, embeddings if output is None else output)


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
    if rotary_size != head_size or scaling != "none":
        raise UnsupportedModelError(
            f"{file.name}: only rotary embeddings over the whole head, plain or as Llama 3.1 "
            f"stretches them, are supported; this file has {rotary_size} of {head_size} "
            f"dimensions, scaling {scaling!r}"
        )
    rotary_base = file.value(f"{family}.rope.freq_base", float, 10_000.0)
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
        rotary_base=rotary_base,
        rotary_scaling=_read_rotary_scaling(file, rotary_base, head_size),
        norm_epsilon=file.value(f"{family}.attention.layer_norm_rms_epsilon", float),
    )


def _read_rotary_scaling(file: GgufFile, base: float, head_size: int) -> RotaryScaling | None:
    """The file holds what each frequency is divided by, and not the numbers that this came from:
    those of Llama 3.1 to 3.3 are tried."""
    if not file.has_tensor("rope_freqs.weight"):
        return None
    half = head_size // 2
    found = file.tensor("rope_freqs.weight", (half,))
    scaling = RotaryScaling("llama3", factor=float(found.max()))
    expected = rotary_factors(base ** (-np.arange(half) / half), scaling)
    if not np.allclose(found, expected, rtol=1e-3):
        raise UnsupportedModelError(
            f"{file.name}: its rotary frequency factors are not those of Llama 3.1 to 3.3; take "
            "the Hugging Face directory of the model"
        )
    return scaling


def _read_layer(file: GgufFile, a: Architecture, prefix: str) -> Layer:
    attention_in, attention_in_bias = _read_attention_in(file, a, prefix)
    inner = (a.inner_width, a.width)
    return Layer(
        attention_norm=file.tensor(f"{prefix}.attn_norm.weight", (a.width,)),
        attention_in=attention_in,
        attention_in_bias=attention_in_bias,
        attention_out=file.tensor(f"{prefix}.attn_output.weight", (a.width, a.heads * a.head_size)),
        attention_out_bias=_optional(file, f"{prefix}.attn_output.bias", (a.width,)),
        ffn_norm=file.tensor(f"{prefix}.ffn_norm.weight", (a.width,)),
        gate=file.tensor(f"{prefix}.ffn_gate.weight", inner),
        up=file.tensor(f"{prefix}.ffn_up.weight", inner),
        down=file.tensor(f"{prefix}.ffn_down.weight", inner[::-1]),
        query_norm=_read_head_norm(file, a, f"{prefix}.attn_q_norm.weight"),
        key_norm=_read_head_norm(file, a, f"{prefix}.attn_k_norm.weight"),
    )


def _read_attention_in(file: GgufFile, a: Architecture, prefix: str) -> tuple[Array, Array | None]:
    weights, biases, has_any_bias = [], [], False
    for name, heads in (("attn_q", a.heads), ("attn_k", a.key_heads), ("attn_v", a.key_heads)):
        rows = heads * a.head_size
        weight = file.tensor(f"{prefix}.{name}.weight", (rows, a.width))
        found = _optional(file, f"{prefix}.{name}.bias", (rows,))
        has_any_bias |= found is not None
        bias = np.zeros(rows, np.float32) if found is None else found
        if _HAS_PAIRED_ROTARY[a.family] and name != "attn_v":
            weight, bias = _halves(weight, heads), _halves(bias, heads)
        weights.append(weight)
        biases.append(bias)
    return np.concatenate(weights), np.concatenate(biases) if has_any_bias else None


def _read_head_norm(file: GgufFile, a: Architecture, name: str) -> Array | None:
    return file.tensor(name, (a.head_size,)) if a.family == "qwen3" else None


def _optional(file: GgufFile, name: str, shape: tuple[int, ...]) -> Array | None:
    return file.tensor(name, shape) if file.has_tensor(name) else None


def _halves(rows: Array, heads: int) -> Array:
    """Rows of each head from pairs (x0, y0, x1, y1, ...) to halves (x0, x1, ..., y0, y1, ...)."""
    pairs = rows.reshape(heads, rows.shape[0] // heads // 2, 2, -1)
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(rows.shape)
