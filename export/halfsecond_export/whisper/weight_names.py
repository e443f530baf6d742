"""What Whisper's weights are called in Hugging Face's and in OpenAI's files, and reading them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halfsecond.errors import UnsupportedModelError
from halfsecond_export.prepare.whisper_network import (
    Array,
    CrossAttention,
    DecoderLayer,
    EncoderLayer,
    FeedForward,
    Linear,
    Norm,
    SelfAttention,
    WhisperNetwork,
)


@dataclass(frozen=True)
class WeightNames:
    """The names of one kind of file; `{i}` is the number of a layer."""

    encoder: str
    decoder: str
    conv: str
    encoder_positions: str
    decoder_positions: str
    embeddings: str
    encoder_norm: str
    decoder_norm: str
    attention: str
    cross: str
    attention_norm: str
    cross_norm: str
    projections: tuple[str, str, str, str]
    """Of queries, keys, values, and out."""
    ffn: tuple[str, str, str]
    """The norm, and the two products."""


HUGGING_FACE = WeightNames(
    encoder="model.encoder.layers.{i}",
    decoder="model.decoder.layers.{i}",
    conv="model.encoder.conv{i}",
    encoder_positions="model.encoder.embed_positions.weight",
    decoder_positions="model.decoder.embed_positions.weight",
    embeddings="model.decoder.embed_tokens.weight",
    encoder_norm="model.encoder.layer_norm",
    decoder_norm="model.decoder.layer_norm",
    attention="self_attn",
    cross="encoder_attn",
    attention_norm="self_attn_layer_norm",
    cross_norm="encoder_attn_layer_norm",
    projections=("q_proj", "k_proj", "v_proj", "out_proj"),
    ffn=("final_layer_norm", "fc1", "fc2"),
)
"""transformers, `WhisperForConditionalGeneration`."""

OPENAI = WeightNames(
    encoder="encoder.blocks.{i}",
    decoder="decoder.blocks.{i}",
    conv="encoder.conv{i}",
    encoder_positions="encoder.positional_embedding",
    decoder_positions="decoder.positional_embedding",
    embeddings="decoder.token_embedding.weight",
    encoder_norm="encoder.ln_post",
    decoder_norm="decoder.ln",
    attention="attn",
    cross="cross_attn",
    attention_norm="attn_ln",
    cross_norm="cross_attn_ln",
    projections=("query", "key", "value", "out"),
    ffn=("mlp_ln", "mlp.0", "mlp.2"),
)
"""OpenAI's checkpoints, `whisper/model.py`."""


def read_network(
    weights: Mapping[str, NDArray[np.generic]], names: WeightNames, *, heads: int, file: str
) -> WhisperNetwork:
    """The network of these weights.

    heads: of attention, in both halves. file: what to call the source in a message.

    Raises UnsupportedModelError for a weight that is not there, or has another shape than its
    neighbours want.
    """
    return _Reader(weights, names, file).network(heads)


class _Reader:
    def __init__(
        self, weights: Mapping[str, NDArray[np.generic]], names: WeightNames, file: str
    ) -> None:
        self._weights = weights
        self._names = names
        self._file = file

    def network(self, heads: int) -> WhisperNetwork:
        names = self._names
        network = WhisperNetwork(
            heads=heads,
            conv1=self._linear(names.conv.format(i=1)),
            conv2=self._linear(names.conv.format(i=2)),
            encoder_positions=self._array(names.encoder_positions),
            encoder_layers=tuple(
                EncoderLayer(self._attention(layer), self._ffn(layer))
                for layer in self._layers(names.encoder)
            ),
            encoder_norm=self._norm(names.encoder_norm),
            embeddings=self._array(names.embeddings),
            decoder_positions=self._array(names.decoder_positions),
            decoder_layers=tuple(
                DecoderLayer(self._attention(layer), self._cross(layer), self._ffn(layer))
                for layer in self._layers(names.decoder)
            ),
            decoder_norm=self._norm(names.decoder_norm),
        )
        self._check(network)
        return network

    def _layers(self, pattern: str) -> list[str]:
        """The layers that have a norm, from the first without a gap."""
        found: list[str] = []
        while f"{(layer := pattern.format(i=len(found)))}.{self._names.ffn[0]}.weight" in (
            self._weights
        ):
            found.append(layer)
        return found

    def _array(self, name: str) -> Array:
        values = self._weights.get(name)
        if values is None:
            raise UnsupportedModelError(
                f"{self._file} has no weight {name}; a Whisper was expected, and it begins with "
                f"{', '.join(list(self._weights)[:3]) or 'nothing'}"
            )
        return np.ascontiguousarray(values, dtype=np.float32)

    def _norm(self, name: str) -> Norm:
        return Norm(self._array(f"{name}.weight"), self._array(f"{name}.bias"))

    def _linear(self, name: str) -> Linear:
        return Linear(self._array(f"{name}.weight"), self._array(f"{name}.bias"))

    def _packed(self, name: str, projections: tuple[str, ...]) -> Linear:
        """Several products of the same input as one; Whisper's keys have no biases."""
        weights, biases = [], []
        for projection in projections:
            weight = self._array(f"{name}.{projection}.weight")
            bias = f"{name}.{projection}.bias"
            weights.append(weight)
            biases.append(
                self._array(bias) if bias in self._weights else np.zeros(len(weight), np.float32)
            )
        return Linear(np.concatenate(weights), np.concatenate(biases))

    def _attention(self, layer: str) -> SelfAttention:
        names, (query, key, value, out) = self._names, self._names.projections
        name = f"{layer}.{names.attention}"
        return SelfAttention(
            self._norm(f"{layer}.{names.attention_norm}"),
            self._packed(name, (query, key, value)),
            self._linear(f"{name}.{out}"),
        )

    def _cross(self, layer: str) -> CrossAttention:
        names, (query, key, value, out) = self._names, self._names.projections
        name = f"{layer}.{names.cross}"
        return CrossAttention(
            self._norm(f"{layer}.{names.cross_norm}"),
            self._linear(f"{name}.{query}"),
            self._packed(name, (key, value)),
            self._linear(f"{name}.{out}"),
        )

    def _ffn(self, layer: str) -> FeedForward:
        norm, up, down = (f"{layer}.{part}" for part in self._names.ffn)
        return FeedForward(self._norm(norm), self._linear(up), self._linear(down))

    def _check(self, network: WhisperNetwork) -> None:
        width = network.width
        for what, found, expected in (
            ("layers that hear", len(network.encoder_layers), "at least one"),
            ("layers that write", len(network.decoder_layers), "at least one"),
            ("width of the positions heard", network.encoder_positions.shape[1], width),
            ("width of the positions written", network.decoder_positions.shape[1], width),
            ("width of the second convolution", len(network.conv2.weight), width),
        ):
            if not found or (isinstance(expected, int) and found != expected):
                raise UnsupportedModelError(f"{self._file}: {what} is {found}, expected {expected}")
        if network.heads < 1 or width % network.heads:
            raise UnsupportedModelError(
                f"{self._file}: {network.heads} heads do not divide a width of {width}"
            )


def named_weights(network: WhisperNetwork, names: WeightNames) -> dict[str, Array]:
    """The weights by these names: what `read_network` reads, with biases of zero left out."""
    width = network.width
    query, key, value, out = names.projections
    found: dict[str, Array] = {
        names.encoder_positions: network.encoder_positions,
        names.decoder_positions: network.decoder_positions,
        names.embeddings: network.embeddings,
    }

    def add(name: str, part: Linear | Norm) -> None:
        found[f"{name}.weight"] = part.weight
        found[f"{name}.bias"] = part.bias

    def add_packed(name: str, packed: Linear, projections: tuple[str, ...]) -> None:
        for at, projection in enumerate(projections):
            rows = slice(at * width, (at + 1) * width)
            found[f"{name}.{projection}.weight"] = packed.weight[rows]
            if projection != key:
                found[f"{name}.{projection}.bias"] = packed.bias[rows]

    def add_layer(layer: str, attention: SelfAttention, ffn: FeedForward) -> None:
        name = f"{layer}.{names.attention}"
        add(f"{layer}.{names.attention_norm}", attention.norm)
        add_packed(name, attention.packed, (query, key, value))
        add(f"{name}.{out}", attention.out)
        norm, up, down = (f"{layer}.{part}" for part in names.ffn)
        add(norm, ffn.norm)
        add(up, ffn.up)
        add(down, ffn.down)

    add(names.conv.format(i=1), network.conv1)
    add(names.conv.format(i=2), network.conv2)
    add(names.encoder_norm, network.encoder_norm)
    add(names.decoder_norm, network.decoder_norm)
    for at, heard in enumerate(network.encoder_layers):
        add_layer(names.encoder.format(i=at), heard.attention, heard.ffn)
    for at, written in enumerate(network.decoder_layers):
        layer = names.decoder.format(i=at)
        add_layer(layer, written.attention, written.ffn)
        name, cross = f"{layer}.{names.cross}", written.cross
        add(f"{layer}.{names.cross_norm}", cross.norm)
        add(f"{name}.{query}", cross.query)
        add_packed(name, cross.packed, (key, value))
        add(f"{name}.{out}", cross.out)
    return found
