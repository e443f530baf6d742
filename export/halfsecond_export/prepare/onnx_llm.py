"""Llama-family language models: GGUF to an ONNX model with a key/value cache, without torch.

The graph takes new tokens and the buffers of what came before. Its operators beside ONNX's own are
ONNX Runtime's (`com.microsoft`): attention that rotates and appends to the buffers in place, RMS
norms that add the residual, and INT8 products that give float32.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from halfsecond.errors import ConfigError, UnsupportedModelError
from halfsecond_export.prepare.gguf_file import GgufFile
from halfsecond_export.prepare.gguf_network import (
    DETAILS,
    Architecture,
    Layer,
    Network,
    read_architecture,
    read_network,
)
from halfsecond_export.prepare.gguf_tokenizer import read_vocabulary, write_tokenizer
from halfsecond_export.prepare.onnx_graph import MICROSOFT, GraphBuilder
from halfsecond_export.prepare.onnx_products import FloatProducts, Int8Products, Matrix, Products
from halfsecond_export.prepare.rotation import rotate_network

QUANTIZATIONS = ("int8", "float32")
MODEL_NAME = "model.onnx"

# Layers in which single numbers inside the feed-forward part are 13 to 40 times its mean, which no
# rotation of the residual stream can reach: in the first and the last two of SmolLM2-135M rounding
# by row was off by 1.8 to 3.3 % of the stream, in all others by 0.4 to 0.8 %.
_LOUD_FIRST_LAYERS, _LOUD_LAST_LAYERS = 1, 2

# What ONNX Runtime's attention takes on a CPU.
_HEAD_SIZE_MULTIPLE = 16


def convert_gguf_to_onnx_files(
    source: Path, directory: Path, *, quantization: str
) -> dict[str, Any]:
    """Writes `model.onnx` with its data, the tokenizer and `chat.json` into an empty directory.

    Returns what the file says about itself: name, licence, sizes. Raises ModelCorruptError,
    UnsupportedModelError and ConfigError.
    """
    if quantization not in QUANTIZATIONS:
        raise ConfigError(
            f"quantization {quantization!r} is not supported; valid: {', '.join(QUANTIZATIONS)}"
        )
    file = GgufFile(source)
    architecture = read_architecture(file)
    if architecture.head_size % _HEAD_SIZE_MULTIPLE:
        raise UnsupportedModelError(
            f"{file.name}: heads of {architecture.head_size} numbers; ONNX Runtime's attention "
            f"takes multiples of {_HEAD_SIZE_MULTIPLE}"
        )
    vocabulary = read_vocabulary(file, architecture.vocabulary)
    write_tokenizer(file, vocabulary, directory, context_tokens=architecture.context_tokens)
    network = read_network(file, architecture)
    rotate_network(network, architecture)
    graph = build_graph(network, architecture, quantization=quantization)
    graph.save(directory / MODEL_NAME)
    return {**file.texts(DETAILS), "architecture": vars(architecture)}


def build_graph(network: Network, architecture: Architecture, *, quantization: str) -> GraphBuilder:
    """The graph of a network whose norm weights are 1 (see rotation.py).

    Inputs: `tokens` (1, n) int64, the new ones; `rows` (r,) int64, which of them logits are wanted
    for; `last` (1,) int32, the position of the last new token; `total` (1,) int32, that plus one;
    `past_key_I` and `past_value_I` (1, key heads, capacity, head size) float32 of each layer.
    Outputs: `logits` (1, r, vocabulary) float32, and `present_key_I`, `present_value_I`, to be
    bound to the buffers of the inputs.
    """
    graph = GraphBuilder()
    products = Int8Products(graph) if quantization == "int8" else FloatProducts(graph)
    return _Decoder(graph, products, architecture).build(network)


class _Decoder:
    """The layers, written into a graph with one kind of matrix products."""

    def __init__(self, graph: GraphBuilder, products: Products, architecture: Architecture) -> None:
        self._graph = graph
        self._products = products
        self._sizes = architecture
        self._ones = graph.tensor("norm.weight", np.ones(architecture.width, np.float32))

    def build(self, network: Network) -> GraphBuilder:
        graph, a = self._graph, self._sizes
        tokens = graph.input("tokens", "int64", [1, "n"])
        rows = graph.input("rows", "int64", ["r"])
        graph.input("last", "int32", [1])
        graph.input("total", "int32", [1])
        self._add_rotary_tables()
        state = self._products.gather("embeddings", network.embeddings, tokens)
        skip: str | None = None
        graph.output("logits", "float32", [1, "r", a.vocabulary])
        for index, layer in enumerate(network.layers):
            is_last = index == a.layers - 1
            state, skip = self._layer(index, layer, state, skip, rows if is_last else None)
        normed, _ = self._norm("output.normed", state, skip)
        product = self._products.of_normed([Matrix("output", network.output)], normed)
        graph.node("Identity", product, "logits")
        return graph

    def _layer(
        self, index: int, layer: Layer, state: str, skip: str | None, rows: str | None
    ) -> tuple[str, str]:
        """Returns what the layer adds, and the residual that it is to be added to."""
        graph, name = self._graph, f"layer_{index}"
        normed, residual = self._norm(f"{name}.attention.normed", state, skip)
        mixed = self._attention(index, layer, normed)
        if rows is not None:
            # From here on nothing looks at other tokens, and only these are asked for.
            mixed = graph.node("Gather", [mixed, rows], f"{name}.mixed.rows", axis=1)
            residual = graph.node("Gather", [residual, rows], f"{name}.residual.rows", axis=1)
        added = self._products.of_any(
            Matrix(f"{name}.attention.out", layer.attention_out, layer.attention_out_bias), mixed
        )
        normed, residual = self._norm(f"{name}.ffn.normed", added, residual)
        gate, up = self._products.of_normed(
            [Matrix(f"{name}.gate", layer.gate), Matrix(f"{name}.up", layer.up)], normed
        )
        # x * sigmoid(1 * x) is SiLU.
        silu = graph.node("QuickGelu", [gate], f"{name}.silu", domain=MICROSOFT, alpha=1.0)
        inner = graph.node("Mul", [silu, up], f"{name}.inner")
        down = Matrix(f"{name}.down", layer.down)
        is_loud = index < _LOUD_FIRST_LAYERS or index >= self._sizes.layers - _LOUD_LAST_LAYERS
        multiply = self._products.of_loud if is_loud else self._products.of_any
        return multiply(down, inner), residual

    def _attention(self, index: int, layer: Layer, normed: str) -> str:
        graph, a, name = self._graph, self._sizes, f"layer_{index}.attention"
        (packed,) = self._products.of_normed(
            [Matrix(f"{name}.in", layer.attention_in, layer.attention_in_bias)], normed
        )
        past, present = [], []
        for kind in ("key", "value"):
            shape: list[int | str] = [1, a.key_heads, "capacity", a.head_size]
            past.append(graph.input(f"past_{kind}_{index}", "float32", shape))
            present.append(f"present_{kind}_{index}")
            graph.output(present[-1], "float32", shape)
        return graph.node(
            "GroupQueryAttention",
            [packed, "", "", *past, "last", "total", "rotary.cosine", "rotary.sine"],
            f"{name}.mixed",
            *present,
            domain=MICROSOFT,
            num_heads=a.heads,
            kv_num_heads=a.key_heads,
            do_rotary=1,
            rotary_interleaved=0,
        )

    def _norm(self, name: str, state: str, skip: str | None) -> tuple[str, str]:
        """Returns the RMS norm of the sum of `state` and `skip`, and the sum."""
        epsilon = self._sizes.norm_epsilon
        if skip is None:
            normed = self._graph.node(
                "SimplifiedLayerNormalization", [state, self._ones], name, axis=-1, epsilon=epsilon
            )
            return normed, state
        total = f"{name}.sum"
        normed = self._graph.node(
            "SkipSimplifiedLayerNormalization",
            [state, skip, self._ones],
            *(name, "", "", total),
            domain=MICROSOFT,
            epsilon=epsilon,
        )
        return normed, total

    def _add_rotary_tables(self) -> None:
        """Cosines and sines (positions, head size / 2) of Su et al. 2021."""
        a = self._sizes
        half = a.head_size // 2
        frequencies = a.rotary_base ** (-np.arange(half) / half)
        angles = np.arange(a.context_tokens)[:, None] * frequencies
        self._graph.tensor("rotary.cosine", np.cos(angles).astype(np.float32))
        self._graph.tensor("rotary.sine", np.sin(angles).astype(np.float32))
