"""Turning the space that a network computes in, so that INT8 loses less.

A few channels of a language model are 10 to 100 times the rest, and 8 bits for all of them leave
the others 2 or 3. An RMS norm without weights does not see a rotation: when everything that is
written into the residual stream is turned by one orthogonal matrix, and everything that reads it is
turned back, nothing changes in exact arithmetic and nothing is added at run time, but every channel
is now a mixture of all, without outliers: QuaRot (Ashkboos et al. 2024), after SliceGPT.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsecond_export.prepare.decoder_network import Architecture, Array, Layer, Network

# Any orthogonal matrix does; a fixed one makes the files of a source come out the same.
_SEED = 0


def rotate_network(network: Network, architecture: Architecture) -> None:
    """Rotates the weights in place; the logits stay the same, and all norm weights become 1."""
    random = np.random.default_rng(_SEED)
    turn = _orthogonal(architecture.width, random)
    network.output = _float32(network.output * network.output_norm.astype(np.float64) @ turn)
    network.output_norm = np.ones_like(network.output_norm)
    network.embeddings = _float32(network.embeddings.astype(np.float64) @ turn)
    for layer in network.layers:
        _rotate_residual(layer, turn)
        _rotate_values(layer, architecture, random)


def _rotate_residual(layer: Layer, turn: NDArray[Any]) -> None:
    ones = np.ones_like(layer.attention_norm)
    layer.attention_in = _float32(layer.attention_in * layer.attention_norm.astype(float) @ turn)
    layer.gate = _float32(layer.gate * layer.ffn_norm.astype(float) @ turn)
    layer.up = _float32(layer.up * layer.ffn_norm.astype(float) @ turn)
    layer.attention_norm, layer.ffn_norm = ones, ones
    layer.attention_out = _float32(turn.T @ layer.attention_out)
    layer.down = _float32(turn.T @ layer.down)
    if layer.attention_out_bias is not None:
        layer.attention_out_bias = _float32(turn.T @ layer.attention_out_bias)


def _rotate_values(layer: Layer, a: Architecture, random: np.random.Generator) -> None:
    """Attention mixes values head by head: those of a head can be turned, and turned back after."""
    first_value = (a.heads + a.key_heads) * a.head_size
    if layer.attention_in_bias is not None:
        layer.attention_in_bias = layer.attention_in_bias.copy()
    for head in range(a.key_heads):
        turn = _orthogonal(a.head_size, random)
        at = first_value + head * a.head_size
        rows = slice(at, at + a.head_size)
        layer.attention_in[rows] = turn.T @ layer.attention_in[rows]
        if layer.attention_in_bias is not None:
            layer.attention_in_bias[rows] = turn.T @ layer.attention_in_bias[rows]
        group = a.heads // a.key_heads
        for query in range(head * group, (head + 1) * group):
            columns = slice(query * a.head_size, (query + 1) * a.head_size)
            layer.attention_out[:, columns] = layer.attention_out[:, columns] @ turn


def _orthogonal(size: int, random: np.random.Generator) -> NDArray[Any]:
    """A random rotation, all equally likely (Mezzadri 2007)."""
    q, r = np.linalg.qr(random.normal(size=(size, size)))
    result: NDArray[Any] = q * np.sign(np.diag(r))
    return result


def _float32(values: NDArray[Any]) -> Array:
    return np.ascontiguousarray(values, dtype=np.float32)
