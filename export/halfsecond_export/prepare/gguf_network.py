"""The network of a Llama-family GGUF file: its sizes, and its tensors as the families share them.

Names and layouts of the tensors are llama.cpp's (gguf-py, `constants.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halfsecond.errors import UnsupportedModelError
from halfsecond_export.prepare.gguf_file import GgufFile

# Whether llama.cpp stored the query and key rows of a head in pairs (x0, x32, x1, x33, ...) rather
# than in halves. It does so for the architectures whose rotary embedding it computes on pairs.
_HAS_PAIRED_ROTARY: Mapping[str, bool] = {"llama": True, "qwen2": False}

DETAILS = (
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


def query_key_value(
    file: GgufFile, a: Architecture, index: int
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Weights (rows, width) of a layer's queries, keys and values, one after another, and their
    biases (rows,) where the layer has any. Rotary pairs are in halves, whatever the family.
    """
    weights, biases, has_any_bias = [], [], False
    for name, heads in (("attn_q", a.heads), ("attn_k", a.key_heads), ("attn_v", a.key_heads)):
        prefix, rows = f"blk.{index}.{name}", heads * a.head_size
        weight = file.tensor(f"{prefix}.weight", (rows, a.width))
        has_bias = file.has_tensor(f"{prefix}.bias")
        bias = file.tensor(f"{prefix}.bias", (rows,)) if has_bias else np.zeros(rows, np.float32)
        if _HAS_PAIRED_ROTARY[a.family] and name != "attn_v":
            weight, bias = _halves(weight, heads), _halves(bias, heads)
        weights.append(weight)
        biases.append(bias)
        has_any_bias |= has_bias
    return np.concatenate(weights), np.concatenate(biases) if has_any_bias else None


def refuse_unread(file: GgufFile, a: Architecture) -> None:
    """Raises UnsupportedModelError for tensors that a converter of this family did not ask for."""
    if file.unread_tensors:
        raise UnsupportedModelError(
            f"{file.name}: {len(file.unread_tensors)} tensors have no place in the "
            f"{a.family} architecture: {', '.join(file.unread_tensors[:5])}"
        )


def _halves(rows: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Rows of each head from pairs (x0, y0, x1, y1, ...) to halves (x0, x1, ..., y0, y1, ...)."""
    pairs = rows.reshape(heads, rows.shape[0] // heads // 2, 2, -1)
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(rows.shape)
