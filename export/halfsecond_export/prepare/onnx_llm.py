"""Writing a language model as an ONNX model with a key/value cache, without torch.

The graph takes new tokens and the buffers of what came before. Its operators beside ONNX's own are
ONNX Runtime's (`com.microsoft`): attention that rotates and appends to the buffers in place, RMS
norms that add the residual, and INT8 products that give float32.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from halfsecond.errors import ConfigError, UnsupportedModelError
from halfsecond_export.prepare.decoder_network import (
    Architecture,
    Layer,
    Network,
    rotary_frequencies,
)
from halfsecond_export.prepare.language_model import LanguageModel
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


def write_onnx(model: LanguageModel, directory: Path, *, quantization: str) -> None:
    """Writes `model.onnx` with its data, the tokenizer and `chat.json` into an empty directory.

    Raises ConfigError for an unknown quantization, and what `check_onnx` does.
    """
    if quantization not in QUANTIZATIONS:
        raise ConfigError(
            f"quantization {quantization!r} is not supported; valid: {', '.join(QUANTIZATIONS)}"
        )
    check_onnx(model.architecture)
    network = model.network.copy()
    rotate_network(network, model.architecture)
    graph = build_graph(network, model.architecture, quantization=quantization)
    graph.save(directory / MODEL_NAME)
    model.write_chat(directory)


def check_onnx(architecture: Architecture) -> None:
    """Raises UnsupportedModelError for a network that the graph cannot express."""
    a = architecture
    if a.head_size % _HEAD_SIZE_MULTIPLE:
        raise UnsupportedModelError(
            f"heads of {a.head_size} numbers; ONNX Runtime's attention takes multiples of "
            f"{_HEAD_SIZE_MULTIPLE}. Take CTranslate2: --format ctranslate2-int8"
        )
    if a.window_rotary_base is not None or a.activation != "silu" or a.embedding_scale != 1:
        raise UnsupportedModelError(
            f"{a.family} has norms that the ONNX decoder does not compute; it takes Llama, "
            "Mistral, Qwen2 and Qwen3. Take CTranslate2: --format ctranslate2-int8"
        )


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
        given = [packed, "", ""] if layer.query_norm is None else self._normed(layer, name, packed)
        return graph.node(
            "GroupQueryAttention",
            [*given, *past, "last", "total", "rotary.cosine", "rotary.sine"],
            f"{name}.mixed",
            *present,
            domain=MICROSOFT,
            num_heads=a.heads,
            kv_num_heads=a.key_heads,
            do_rotary=1,
            rotary_interleaved=0,
            **({"local_window_size": a.window(index)} if a.window(index) else {}),
        )

    def _normed(self, layer: Layer, name: str, packed: str) -> list[str]:
        """Queries and keys normed head by head, and the values."""
        graph, a = self._graph, self._sizes
        key_rows = a.key_heads * a.head_size
        lengths = graph.shape((a.heads * a.head_size, key_rows, key_rows))
        names = [f"{name}.{part}" for part in ("queries", "keys", "values")]
        graph.node("Split", [packed, lengths], *names, axis=-1)
        # 0 keeps a size, -1 takes what is left.
        apart, together = graph.shape((0, 0, -1, a.head_size)), graph.shape((0, 0, -1))
        given = []
        for part, gamma in zip(names, (layer.query_norm, layer.key_norm), strict=False):
            heads = graph.node("Reshape", [part, apart], f"{part}.heads")
            weight = graph.tensor(f"{part}.norm", gamma)  # type: ignore[arg-type]
            normed = graph.node(
                "SimplifiedLayerNormalization",
                [heads, weight],
                f"{part}.normed",
                axis=-1,
                epsilon=a.norm_epsilon,
            )
            given.append(graph.node("Reshape", [normed, together], f"{part}.turned"))
        return [*given, names[2]]

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
        angles = np.arange(a.context_tokens)[:, None] * rotary_frequencies(a, 0)
        self._graph.tensor("rotary.cosine", np.cos(angles).astype(np.float32))
        self._graph.tensor("rotary.sine", np.sin(angles).astype(np.float32))
