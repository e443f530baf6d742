"""Whisper as a pair of ONNX models: what hears, and what writes with a key/value cache.

The encoder gives the keys and values that the decoder's cross-attention looks at, so that these are
computed once an utterance and not once a token.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from halfsecond.errors import ConfigError, ModelCorruptError
from halfsecond_export.prepare.ctranslate2_file import Ctranslate2File
from halfsecond_export.prepare.onnx_graph import GraphBuilder
from halfsecond_export.prepare.onnx_products import FloatProducts, Int8Products, Matrix, Products
from halfsecond_export.prepare.whisper_network import (
    CrossAttention,
    FeedForward,
    Linear,
    Norm,
    SelfAttention,
    WhisperNetwork,
    read_ctranslate2,
)
from halfsecond_export.prepare.whisper_operators import (
    Operators,
    PortableOperators,
    RuntimeOperators,
    Sizes,
)

QUANTIZATIONS = ("int8", "float32")
ENCODER_NAME, DECODER_NAME = "encoder.onnx", "decoder.onnx"
DETAILS_NAME = "whisper.json"

# Of PyTorch's layer norms, and so of Whisper's.
_EPSILON = 1e-5
# What the runtime needs beside the networks, in CTranslate2's own words.
_DETAILS = ("alignment_heads", "lang_ids", "suppress_ids", "suppress_ids_begin")


def convert_ctranslate2_whisper_files(
    sources: Mapping[str, Path], directory: Path, *, quantization: str
) -> dict[str, Any]:
    """Writes encoder, decoder, tokenizer and `whisper.json` into an empty directory.

    sources: `model.bin`, `config.json` and `tokenizer.json` of a Whisper that was converted to
    CTranslate2. Returns the network's sizes. Raises ModelCorruptError, UnsupportedModelError and
    ConfigError.
    """
    if quantization not in QUANTIZATIONS:
        raise ConfigError(
            f"quantization {quantization!r} is not supported; valid: {', '.join(QUANTIZATIONS)}"
        )
    if missing := {"model.bin", "config.json", "tokenizer.json"} - set(sources):
        raise ConfigError(f"a Whisper needs {', '.join(sorted(missing))} too")
    network = read_ctranslate2(Ctranslate2File(sources["model.bin"]))
    details = _details(sources["config.json"])
    write_pair(network, details, sources["tokenizer.json"], directory, quantization=quantization)
    return {
        "width": network.width,
        "heads": network.heads,
        "layers": len(network.decoder_layers),
        "vocabulary": len(network.embeddings),
        "mels": network.mels,
    }


def write_pair(
    network: WhisperNetwork,
    details: Mapping[str, Any],
    tokenizer: Path,
    directory: Path,
    *,
    quantization: str,
) -> None:
    """Leaves what the runtime opens in an empty directory; `details` are in CTranslate2's words."""
    heads = [(int(layer), int(head)) for layer, head in details["alignment_heads"]]
    encoder_graph(network, quantization=quantization).save(directory / ENCODER_NAME)
    decoder_graph(network, heads, quantization=quantization).save(directory / DECODER_NAME)
    (directory / DETAILS_NAME).write_text(json.dumps(details) + "\n")
    shutil.copyfile(tokenizer, directory / "tokenizer.json")


def _details(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_bytes())
        return {name: config[name] for name in _DETAILS}
    except (ValueError, KeyError, TypeError) as error:
        raise ModelCorruptError(
            f"{path} is not the config.json of a Whisper for CTranslate2 ({error!r})"
        ) from error


def encoder_graph(
    network: WhisperNetwork, *, quantization: str = "int8", is_portable: bool = False
) -> GraphBuilder:
    """The graph that hears.

    Input: `mel` (1, mels, 2 f) float32, any f up to 1500. Outputs of each decoder layer:
    `cross_key_I` (1, heads, head size, f), ready to be multiplied with queries, and
    `cross_value_I` (1, heads, f, head size), float32.

    is_portable: with ONNX's own operators alone, and without INT8.
    """
    return _Encoder(_Writer(network, quantization, is_portable)).build()


def decoder_graph(
    network: WhisperNetwork,
    alignment_heads: Sequence[tuple[int, int]],
    *,
    quantization: str = "int8",
    is_portable: bool = False,
) -> GraphBuilder:
    """The graph that writes.

    Inputs: `tokens` (1, n) int64, the new ones; `positions` (n,) int64; `rows` (r,) int64, which of
    the tokens logits are wanted for; per layer `cross_key_I`, `cross_value_I` as the encoder gives
    them, and `past_key_I`, `past_value_I` (1, heads, positions, head size); and what
    `Operators.declare_inputs` says.
    Outputs: `logits` (1, r, vocabulary); `attention` (1, alignment heads, n, f), how much each
    token looked at each position; `present_key_I`, `present_value_I`: in ONNX Runtime's own graph
    they are to be bound to the buffers of the past, in a portable one they are the next past.
    """
    return _Decoder(_Writer(network, quantization, is_portable)).build(alignment_heads)


class _Writer:
    """A graph, and the ways to write a network's parts into it."""

    def __init__(self, network: WhisperNetwork, quantization: str, is_portable: bool) -> None:
        self.network = network
        self.graph = GraphBuilder()
        self.products: Products
        self.operators: Operators
        sizes = Sizes(network.heads, network.head_size)
        if is_portable:
            positions = len(network.decoder_positions)
            self.operators = PortableOperators(self.graph, sizes, positions=positions)
            self.products = FloatProducts(self.graph)
        else:
            self.operators = RuntimeOperators(self.graph, sizes)
            is_int8 = quantization == "int8"
            self.products = Int8Products(self.graph) if is_int8 else FloatProducts(self.graph)


class _Layers:
    """What encoder and decoder have in common."""

    def __init__(self, writer: _Writer) -> None:
        self._graph = writer.graph
        self._operators = writer.operators
        self._products = writer.products
        self._network = writer.network
        self._multiply = writer.products.of_any

    def _norm(self, name: str, norm: Norm, state: str) -> str:
        weight = self._graph.tensor(f"{name}.weight", norm.weight)
        bias = self._graph.tensor(f"{name}.bias", norm.bias)
        return self._graph.node(
            "LayerNormalization", [state, weight, bias], name, axis=-1, epsilon=_EPSILON
        )

    def _product(self, name: str, linear: Linear, value: str) -> str:
        return self._multiply(Matrix(name, linear.weight, linear.bias), value)

    def _ffn(self, name: str, ffn: FeedForward, state: str) -> str:
        normed = self._norm(f"{name}.normed", ffn.norm, state)
        up = self._product(f"{name}.up", ffn.up, normed)
        inner = self._operators.gelu(f"{name}.inner", up)
        down = self._product(f"{name}.down", ffn.down, inner)
        return self._graph.node("Add", [state, down], f"{name}.sum")

    def _by_head(self, name: str, value: str, axes: tuple[int, ...]) -> str:
        """(1, n, width) as (1, n, heads, head size), transposed by `axes`."""
        sizes = self._graph.shape((0, 0, self._network.heads, self._network.head_size))
        split = self._graph.node("Reshape", [value, sizes], f"{name}.heads")
        return self._graph.node("Transpose", [split], name, perm=axes)


class _Encoder(_Layers):
    def build(self) -> GraphBuilder:
        graph, network = self._graph, self._network
        mel = graph.input("mel", "float32", [1, network.mels, "t"])
        heard = self._conv("conv1", network.conv1, mel, stride=1)
        heard = self._conv("conv2", network.conv2, heard, stride=2)
        state = graph.node("Transpose", [heard], "heard", perm=(0, 2, 1))
        state = graph.node("Add", [state, self._positions(state)], "placed")
        for index, layer in enumerate(network.encoder_layers):
            state = self._attention(f"layer_{index}.attention", layer.attention, state)
            state = self._ffn(f"layer_{index}.ffn", layer.ffn, state)
        state = self._norm("encoded", network.encoder_norm, state)
        for index, writer in enumerate(network.decoder_layers):
            self._cross(index, writer.cross, state)
        return graph

    def _conv(self, name: str, conv: Linear, value: str, *, stride: int) -> str:
        weight = self._graph.tensor(f"{name}.weight", conv.weight)
        bias = self._graph.tensor(f"{name}.bias", conv.bias)
        result = self._graph.node(
            "Conv", [value, weight, bias], name, pads=(1, 1), strides=(stride,)
        )
        return self._operators.gelu(f"{name}.gelu", result)

    def _positions(self, state: str) -> str:
        """As many of the position encodings as there are positions."""
        graph = self._graph
        table = graph.tensor("positions", self._network.encoder_positions)
        length = graph.node("Shape", [state], "length", start=1, end=2)
        begin, axis = self._graph.shape((0,)), self._graph.shape((0,))
        return graph.node("Slice", [table, begin, length, axis], "positions.used")

    def _attention(self, name: str, attention: SelfAttention, state: str) -> str:
        graph = self._graph
        normed = self._norm(f"{name}.normed", attention.norm, state)
        packed = self._product(f"{name}.packed", attention.packed, normed)
        mixed = self._operators.attention(name, packed)
        out = self._product(f"{name}.out", attention.out, mixed)
        return graph.node("Add", [state, out], f"{name}.sum")

    def _cross(self, index: int, cross: CrossAttention, state: str) -> None:
        graph, network, name = self._graph, self._network, f"cross_{index}"
        packed = self._product(f"{name}.packed", cross.packed, state)
        parts = [f"{name}.keys", f"{name}.values"]
        graph.node("Split", [packed, self._graph.shape((network.width,) * 2)], *parts, axis=2)
        heads, size = network.heads, network.head_size
        self._by_head(f"cross_key_{index}", parts[0], (0, 2, 3, 1))
        self._by_head(f"cross_value_{index}", parts[1], (0, 2, 1, 3))
        graph.output(f"cross_key_{index}", "float32", [1, heads, size, "f"])
        graph.output(f"cross_value_{index}", "float32", [1, heads, "f", size])


class _Decoder(_Layers):
    def __init__(self, writer: _Writer) -> None:
        super().__init__(writer)
        # One token waits for the weights, not for the products: blocks with scales of their own
        # cost nothing there and lose half as much (tiny.en on 250 words: 0.0010 nats a token
        # against 0.0025). For the encoder's hundreds of rows they would take half as long again.
        self._multiply = writer.products.of_loud

    def build(self, alignment_heads: Sequence[tuple[int, int]]) -> GraphBuilder:
        graph, network = self._graph, self._network
        tokens = graph.input("tokens", "int64", [1, "n"])
        positions = graph.input("positions", "int64", ["n"])
        rows = graph.input("rows", "int64", ["r"])
        self._operators.declare_inputs()
        state = self._products.gather("embeddings", network.embeddings, tokens)
        table = graph.tensor("positions.table", network.decoder_positions)
        placed = graph.node("Gather", [table, positions], "positions.used")
        state = graph.node("Add", [state, placed], "placed")
        graph.output("logits", "float32", [1, "r", len(network.embeddings)])
        looks = []
        for index, layer in enumerate(network.decoder_layers):
            state = self._attention(index, layer.attention, state)
            state, look = self._cross(index, layer.cross, state)
            looks += [self._look(index, head, look) for i, head in alignment_heads if i == index]
            state = self._ffn(f"layer_{index}.ffn", layer.ffn, state)
        graph.output("attention", "float32", [1, len(looks), "n", "f"])
        graph.node("Concat", looks, "attention", axis=1)
        wanted = graph.node("Gather", [state, rows], "wanted", axis=1)
        normed = self._norm("normed", network.decoder_norm, wanted)
        product = self._multiply(Matrix("output", network.embeddings), normed)
        graph.node("Identity", [product], "logits")
        return graph

    def _attention(self, index: int, attention: SelfAttention, state: str) -> str:
        graph, name = self._graph, f"layer_{index}.attention"
        normed = self._norm(f"{name}.normed", attention.norm, state)
        packed = self._product(f"{name}.packed", attention.packed, normed)
        mixed = self._operators.cached_attention(index, name, packed)
        out = self._product(f"{name}.out", attention.out, mixed)
        return graph.node("Add", [state, out], f"{name}.sum")

    def _cross(self, index: int, cross: CrossAttention, state: str) -> tuple[str, str]:
        """Returns the state after it, and where each head looked (1, heads, n, f)."""
        graph, network, name = self._graph, self._network, f"layer_{index}.cross"
        heads, size = network.heads, network.head_size
        key = graph.input(f"cross_key_{index}", "float32", [1, heads, size, "f"])
        value = graph.input(f"cross_value_{index}", "float32", [1, heads, "f", size])
        normed = self._norm(f"{name}.normed", cross.norm, state)
        # The scale of attention lies in the query's weights.
        scale = np.float32(size**-0.5)
        query = Linear(cross.query.weight * scale, cross.query.bias * scale)
        asked = self._product(f"{name}.query", query, normed)
        asked = self._by_head(f"{name}.asked", asked, (0, 2, 1, 3))
        scores = graph.node("MatMul", [asked, key], f"{name}.scores")
        look = graph.node("Softmax", [scores], f"{name}.look", axis=-1)
        seen = graph.node("MatMul", [look, value], f"{name}.seen")
        seen = graph.node("Transpose", [seen], f"{name}.by_token", perm=(0, 2, 1, 3))
        seen = graph.node(
            "Reshape", [seen, self._graph.shape((0, 0, network.width))], f"{name}.mixed"
        )
        out = self._product(f"{name}.out", cross.out, seen)
        return graph.node("Add", [state, out], f"{name}.sum"), look

    def _look(self, index: int, head: int, look: str) -> str:
        """(1, 1, n, f) of one head."""
        number = self._graph.shared_tensor(f"head.{head}", np.array([head], np.int64))
        return self._graph.node("Gather", [look, number], f"layer_{index}.look_{head}", axis=1)
