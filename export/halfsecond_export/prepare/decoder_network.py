"""A language model's network as every reader leaves it and every writer takes it.

The families of Llama differ in little: where norms stand, what turns the heads, what a layer looks
back at. What differs is a field here.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
"""Of float32; numpy types most results of arithmetic as "some float"."""

Activation: TypeAlias = Literal["silu", "gelu", "gelu_tanh"]


@dataclass(frozen=True)
class RotaryScaling:
    """How a family stretches its rotary frequencies to a longer context.

    `kind` "linear" divides all of them by `factor`; "llama3" only those that turn less than
    `low` times within `original_tokens`, and less of those up to `high` times (Llama 3.1, A.2).
    """

    kind: Literal["linear", "llama3"]
    factor: float
    low: float = 1.0
    high: float = 4.0
    original_tokens: int = 8192


@dataclass(frozen=True)
class Architecture:
    """The sizes of a network; `head_size` and widths count numbers per token."""

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
    rotary_scaling: RotaryScaling | None = None
    activation: Activation = "silu"
    embedding_scale: float = 1.0
    """What embeddings are multiplied by on their way in."""
    windows: tuple[int, ...] = ()
    """By layer: how many tokens it sees, itself included; 0 is all. Empty: all layers see all."""
    window_rotary_base: float | None = None
    """Of layers with a window, which then have no scaling; None where theirs are like others."""

    def window(self, layer: int) -> int:
        """How many tokens a layer sees; 0 is all."""
        return self.windows[layer] if self.windows else 0

    @property
    def exact_tokens(self) -> int:
        """How long a text may be for windows to leave nothing out."""
        return min([self.context_tokens, *(window for window in self.windows if window)])

    def rotary(self, layer: int) -> tuple[float, RotaryScaling | None]:
        """The base of a layer's rotary embedding, and how it is stretched."""
        if self.window(layer) and self.window_rotary_base is not None:
            return self.window_rotary_base, None
        return self.rotary_base, self.rotary_scaling

    def details(self) -> dict[str, str | int | float]:
        """The sizes, for a manifest."""
        fields = {**dataclasses.asdict(self), "exact_tokens": self.exact_tokens}.items()
        return {name: value for name, value in fields if isinstance(value, str | int | float)}


@dataclass
class Layer:
    """Weights of one layer, matrices (outputs, inputs); what a family has not is None.

    Norm weights are what is multiplied by, also where a family stores the difference to 1.
    """

    attention_norm: Array
    attention_in: Array
    """Rows of the queries, keys and values, one after another, with rotary pairs in halves."""
    attention_in_bias: Array | None
    attention_out: Array
    attention_out_bias: Array | None
    ffn_norm: Array
    gate: Array
    up: Array
    down: Array
    query_norm: Array | None = None
    """Of each head before it is turned, with `key_norm`."""
    key_norm: Array | None = None
    attention_post_norm: Array | None = None
    """Of what attention adds, with `ffn_post_norm`."""
    ffn_post_norm: Array | None = None


@dataclass
class Network:
    """All weights in float32; `output` is the embeddings again where there is no other."""

    embeddings: Array
    layers: list[Layer]
    output_norm: Array
    output: Array

    def copy(self) -> Network:
        """A network whose arrays can be replaced while this one stays; none is copied yet."""
        layers = [dataclasses.replace(layer) for layer in self.layers]
        return dataclasses.replace(self, layers=layers)


def rotary_frequencies(architecture: Architecture, layer: int) -> NDArray[np.float64]:
    """Radians per position (head size / 2,) of Su et al. 2021, as the layer stretches them."""
    base, scaling = architecture.rotary(layer)
    half = architecture.head_size // 2
    frequencies = base ** (-np.arange(half) / half)
    return frequencies if scaling is None else frequencies / rotary_factors(frequencies, scaling)


def rotary_factors(frequencies: NDArray[np.float64], scaling: RotaryScaling) -> NDArray[np.float64]:
    """What each frequency is divided by."""
    if scaling.kind == "linear":
        return np.full_like(frequencies, scaling.factor)
    turns = scaling.original_tokens * frequencies / (2 * np.pi)
    kept = np.clip((turns - scaling.low) / (scaling.high - scaling.low), 0, 1)
    factors: NDArray[np.float64] = 1 / (kept + (1 - kept) / scaling.factor)
    return factors
