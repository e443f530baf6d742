"""What a Hugging Face `config.json` says of a network, by family.

Names and defaults are those of the configuration classes of Hugging Face's transformers, version 4
and 5, which keep the rotary embedding in different places.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from halfsecond.errors import ModelCorruptError, UnsupportedModelError
from halfsecond_export.prepare.decoder_network import Activation, Architecture, RotaryScaling

SUPPORTED = "Llama (SmolLM2, too), Mistral, Qwen2, Qwen2.5, Qwen3 and Gemma 3"

_ACTIVATIONS: Mapping[str, Activation] = {
    "silu": "silu",
    "gelu": "gelu",
    "gelu_pytorch_tanh": "gelu_tanh",
}
_UNSUPPORTED_KEYS = ("quantization_config", "final_logit_softcapping", "attn_logit_softcapping")

Number = TypeVar("Number", int, float)


class Config:
    """A `config.json`, whose values are checked when they are asked for."""

    def __init__(self, values: Mapping[str, Any], *, name: str) -> None:
        self.values = values
        self.name = name

    def number(self, key: str, kind: type[Number], default: Number | None = None) -> Number:
        """A number above zero. Raises ModelCorruptError where it is missing or none."""
        found = self.values.get(key)
        if found is None and default is not None:
            return default
        if isinstance(found, bool) or not isinstance(found, int | float) or found <= 0:
            raise ModelCorruptError(f"{self.name}: {key} is {found!r}, expected a number above 0")
        return kind(found)


def read_architecture(values: Mapping[str, Any], *, name: str) -> Architecture:
    """The sizes of the network that `values` describe; `name` is what messages call them.

    Raises ModelCorruptError, and UnsupportedModelError for another family or a variant of one
    that none of the runtime's engines computes.
    """
    family = str(values.get("model_type"))
    if family not in _READERS:
        raise UnsupportedModelError(
            f"{name}: model type {family!r} is not supported; supported are {SUPPORTED}. Others "
            'can answer from a server of their own: [llm] kind = "openai"'
        )
    text = values.get("text_config")
    config = Config(text if isinstance(text, dict) else values, name=name)
    if found := [key for key in _UNSUPPORTED_KEYS if config.values.get(key) is not None]:
        raise UnsupportedModelError(
            f"{name}: {found[0]} is set; take the weights before quantisation, without soft caps"
        )
    return _READERS[family](config)


def query_scale(values: Mapping[str, Any], architecture: Architecture) -> float:
    """What queries are multiplied by beside the root of their length: Gemma may choose it."""
    text = values.get("text_config")
    scalar = (text if isinstance(text, dict) else values).get("query_pre_attn_scalar")
    if architecture.family != "gemma3":
        return 1.0
    return math.sqrt(architecture.head_size / float(scalar or 256))


def _llama(config: Config) -> Architecture:
    if config.values.get("mlp_bias"):
        raise UnsupportedModelError(f"{config.name}: biases in the feed-forward part (mlp_bias)")
    return _common(config, "llama")


def _mistral(config: Config) -> Architecture:
    window = config.values.get("sliding_window") or 0
    layers = config.number("num_hidden_layers", int)
    return _common(config, "mistral", windows=(int(window),) * layers if window else ())


def _qwen2(config: Config) -> Architecture:
    return _without_windows(config, "qwen2")


def _qwen3(config: Config) -> Architecture:
    return _without_windows(config, "qwen3", head_size=128)


def _without_windows(config: Config, family: str, **defaults: Any) -> Architecture:
    if config.values.get("use_sliding_window"):
        raise UnsupportedModelError(
            f"{config.name}: use_sliding_window is true, which is not computed for {family}"
        )
    return _common(config, family, **defaults)


def _gemma3(config: Config) -> Architecture:
    """The defaults matter: published files leave out what equals them."""
    defaults = {"num_attention_heads": 8, "num_key_value_heads": 4, "vocab_size": 262_208}
    filled = Config(
        {
            "hidden_size": 2304,
            "intermediate_size": 9216,
            "num_hidden_layers": 26,
            "max_position_embeddings": 131_072,
            "hidden_activation": "gelu_pytorch_tanh",
            "rope_theta": 1e6,
            **defaults,
            **config.values,
        },
        name=config.name,
    )
    local = _rope(filled, "sliding_attention").get("rope_theta")
    local = local or filled.values.get("rope_local_base_freq", 10_000.0)
    return _common(
        filled,
        "gemma3",
        head_size=256,
        windows=_gemma3_windows(filled),
        window_rotary_base=float(local),
        embedding_scale=math.sqrt(filled.number("hidden_size", int)),
    )


def _gemma3_windows(config: Config) -> tuple[int, ...]:
    layers = config.number("num_hidden_layers", int)
    window = config.number("sliding_window", int, 4096)
    kinds = config.values.get("layer_types")
    if kinds is None:
        pattern = config.values.get("sliding_window_pattern")
        pattern = pattern or config.values.get("_sliding_window_pattern") or 6
        kinds = [
            "sliding_attention" if (index + 1) % pattern else "full_attention"
            for index in range(layers)
        ]
    if len(kinds) != layers:
        raise ModelCorruptError(f"{config.name}: {len(kinds)} layer_types, expected {layers}")
    return tuple(window if kind == "sliding_attention" else 0 for kind in kinds)


def _common(
    config: Config, family: str, *, head_size: int | None = None, **more: Any
) -> Architecture:
    heads = config.number("num_attention_heads", int)
    width = config.number("hidden_size", int)
    rope = _rope(config, "full_attention")
    base = rope.get("rope_theta") or config.number("rope_theta", float, 10_000.0)
    return Architecture(
        family=family,
        layers=config.number("num_hidden_layers", int),
        width=width,
        inner_width=config.number("intermediate_size", int),
        heads=heads,
        key_heads=config.number("num_key_value_heads", int, heads),
        head_size=config.number("head_dim", int, head_size or width // heads),
        vocabulary=config.number("vocab_size", int),
        context_tokens=config.number("max_position_embeddings", int, 2048),
        rotary_base=float(base),
        norm_epsilon=config.number("rms_norm_eps", float, 1e-6),
        rotary_scaling=_rotary_scaling(config, rope),
        activation=_activation(config),
        **more,
    )


def _rope(config: Config, kind: str) -> Mapping[str, Any]:
    """The rotary settings: `rope_parameters`, by kind of layer or not, or `rope_scaling`."""
    found = config.values.get("rope_parameters")
    if not isinstance(found, dict):
        found = config.values.get("rope_scaling") if kind == "full_attention" else None
    if isinstance(found, dict) and ("full_attention" in found or "sliding_attention" in found):
        found = found.get(kind)
    return found if isinstance(found, dict) else {}


def _rotary_scaling(config: Config, rope: Mapping[str, Any]) -> RotaryScaling | None:
    kind = rope.get("rope_type", rope.get("type", "default"))
    parameters = Config(rope, name=f"{config.name}, rotary embedding")
    if kind == "default" or kind is None:
        return None
    if kind == "linear":
        return RotaryScaling("linear", parameters.number("factor", float))
    if kind == "llama3":
        return RotaryScaling(
            "llama3",
            factor=parameters.number("factor", float),
            low=parameters.number("low_freq_factor", float),
            high=parameters.number("high_freq_factor", float),
            original_tokens=parameters.number("original_max_position_embeddings", int),
        )
    raise UnsupportedModelError(
        f"{config.name}: rotary embeddings are stretched by {kind!r}; supported are 'linear' and "
        "'llama3'. A model's own context, without stretching, is enough for a conversation"
    )


def _activation(config: Config) -> Activation:
    found = config.values.get("hidden_activation") or config.values.get("hidden_act") or "silu"
    if found not in _ACTIVATIONS:
        raise UnsupportedModelError(
            f"{config.name}: activation {found!r}; supported are {', '.join(_ACTIVATIONS)}"
        )
    return _ACTIVATIONS[found]


_READERS: Mapping[str, Callable[[Config], Architecture]] = {
    "llama": _llama,
    "mistral": _mistral,
    "qwen2": _qwen2,
    "qwen3": _qwen3,
    "gemma3_text": _gemma3,
    "gemma3": _gemma3,
}
