"""A decoder's forward pass in numpy: slow, plain, and none of the engines that artifacts run on.

It is what smoothing looks into, and what an exported model is compared with.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from halfsecond_export.prepare.decoder_network import (
    Activation,
    Architecture,
    Array,
    Layer,
    Network,
    rotary_frequencies,
)


class LayerPass:
    """One layer on the states (tokens, width) of one text: its output, and what its four matrix
    products were given."""

    def __init__(self, layer: Layer, index: int, sizes: Architecture, state: Array) -> None:
        epsilon = sizes.norm_epsilon
        self.normed = rms_norm(state, layer.attention_norm, epsilon)
        projected = linear(self.normed, layer.attention_in, layer.attention_in_bias)
        self.mixed = _attend(projected, layer, index, sizes)
        added = linear(self.mixed, layer.attention_out, layer.attention_out_bias)
        if layer.attention_post_norm is not None:
            added = rms_norm(added, layer.attention_post_norm, epsilon)
        state = state + added
        self.ffn_normed = rms_norm(state, layer.ffn_norm, epsilon)
        gate = linear(self.ffn_normed, layer.gate)
        self.inner = activated(gate, sizes.activation) * linear(self.ffn_normed, layer.up)
        added = linear(self.inner, layer.down)
        if layer.ffn_post_norm is not None:
            added = rms_norm(added, layer.ffn_post_norm, epsilon)
        self.output: Array = state + added


def embedded(network: Network, sizes: Architecture, tokens: list[int]) -> Array:
    """The states (tokens, width) that the first layer is given."""
    scaled: Array = network.embeddings[np.asarray(tokens)] * np.float32(sizes.embedding_scale)
    return scaled


def logits(network: Network, sizes: Architecture, tokens: list[int]) -> Array:
    """Logits (tokens, vocabulary) after each token of a text."""
    state = embedded(network, sizes, tokens)
    for index, layer in enumerate(network.layers):
        state = LayerPass(layer, index, sizes, state).output
    return linear(rms_norm(state, network.output_norm, sizes.norm_epsilon), network.output)


def linear(inputs: Array, weight: Array, bias: Array | None = None) -> Array:
    """The product with a matrix (outputs, inputs), and its biases added."""
    result: Array = inputs @ weight.T
    return result if bias is None else result + bias


def rms_norm(state: Array, gamma: Array, epsilon: float) -> Array:
    """Rows of mean square 1, times `gamma`."""
    mean = np.mean(state * state, axis=-1, keepdims=True)
    normed: Array = state / np.sqrt(mean + np.float32(epsilon)) * gamma
    return normed


def activated(values: Array, kind: Activation) -> Array:
    """What opens the gate of a feed-forward part (Hendrycks and Gimpel 2016)."""
    if kind == "silu":
        result: Array = values / (1 + np.exp(-values))
    elif kind == "gelu":
        result = 0.5 * values * (1 + erf(values / np.sqrt(np.float32(2))))
    else:
        cubed = np.sqrt(np.float32(2 / np.pi)) * (values + np.float32(0.044715) * values**3)
        result = 0.5 * values * (1 + np.tanh(cubed))
    return result


def _attend(projected: Array, layer: Layer, index: int, sizes: Architecture) -> Array:
    """Causal attention on fused queries, keys and values (tokens, rows)."""
    tokens = projected.shape[0]
    heads = projected.reshape(tokens, -1, sizes.head_size)
    queries, keys, values = np.split(heads, [sizes.heads, sizes.heads + sizes.key_heads], axis=1)
    if layer.query_norm is not None and layer.key_norm is not None:
        queries = rms_norm(queries, layer.query_norm, sizes.norm_epsilon)
        keys = rms_norm(keys, layer.key_norm, sizes.norm_epsilon)
    group = sizes.heads // sizes.key_heads
    frequencies = rotary_frequencies(sizes, index)
    queries, keys = _turned(queries, frequencies), _turned(keys, frequencies)
    # (heads, tokens, size): matrix products by head.
    queries = queries.swapaxes(0, 1)
    keys = np.repeat(keys.swapaxes(0, 1), group, axis=0)
    values = np.repeat(values.swapaxes(0, 1), group, axis=0)
    scores = queries @ keys.swapaxes(1, 2) / np.sqrt(np.float32(sizes.head_size))
    scores = np.where(_seen(tokens, sizes.window(index)), scores, np.float32(-np.inf))
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    mixed: Array = (weights @ values).swapaxes(0, 1).reshape(tokens, -1)
    return mixed


def _seen(tokens: int, window: int) -> NDArray[np.bool_]:
    """Which tokens (columns) each token (rows) looks at."""
    seen = np.tri(tokens, dtype=bool)
    return seen & ~np.tri(tokens, k=-window, dtype=bool) if window else seen


def _turned(heads: Array, frequencies: NDArray[np.float64]) -> Array:
    """Rotary embedding (Su et al. 2021) on heads (tokens, heads, size) in halves."""
    tokens, _, size = heads.shape
    angles = (np.arange(tokens)[:, None] * frequencies)[:, None]
    cosine, sine = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
    first, second = heads[..., : size // 2], heads[..., size // 2 :]
    halves = [first * cosine - second * sine, second * cosine + first * sine]
    turned: Array = np.concatenate(halves, axis=-1)
    return turned
