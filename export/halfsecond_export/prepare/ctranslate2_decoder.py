"""Writing a language model for CTranslate2, without torch.

The layout is that of CTranslate2's own loaders for Hugging Face's models. One thing is left out:
windows, with which CTranslate2 4.8 refuses a longer prompt or computes it wrongly.
Without them a text is exact up to the window, and behind it layers see further than they learned.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from halfsecond.errors import ConfigError
from halfsecond_export.prepare.decoder_network import (
    Architecture,
    Layer,
    Network,
)
from halfsecond_export.prepare.language_model import LanguageModel
from halfsecond_export.prepare.smoothing import calibration_conversations, smooth_network

QUANTIZATIONS = ("int8", "int8_float16", "float16", "float32")


def write_ctranslate2(model: LanguageModel, directory: Path, *, quantization: str) -> None:
    """Writes the model, its tokenizer and `chat.json` into an empty directory.

    Raises ConfigError for an unknown quantization.
    """
    if quantization not in QUANTIZATIONS:
        raise ConfigError(
            f"quantization {quantization!r} is not supported; valid: {', '.join(QUANTIZATIONS)}"
        )
    network = model.network.copy()
    if quantization.startswith("int8"):
        # Smoothing replaces all other matrices, and CTranslate2 rounds them in place.
        is_tied = network.output is network.embeddings
        network.embeddings = network.embeddings.copy()
        network.output = network.embeddings if is_tied else network.output.copy()
        prompts = [model.conversation_tokens(each) for each in calibration_conversations()]
        smooth_network(network, model.architecture, prompts)
    spec = build_spec(network, model.architecture)
    spec.register_vocabulary(model.tokens)
    # Beginnings are part of the prompt, so CTranslate2's own are only names that must exist.
    spec.config.bos_token = model.chat.bos_token or model.chat.eos_token
    spec.config.eos_token = model.chat.eos_token
    spec.config.unk_token = model.chat.unknown_token
    spec.config.layer_norm_epsilon = model.architecture.norm_epsilon
    spec.validate()
    spec.optimize(quantization=quantization)
    spec.save(str(directory))
    model.write_chat(directory)


def build_spec(network: Network, architecture: Architecture) -> Any:
    """Returns the `TransformerDecoderModelSpec` with all weights in float32."""
    from ctranslate2.specs import Activation, TransformerDecoderModelSpec
    from ctranslate2.specs.attention_spec import RotaryScalingType

    a = architecture
    scaling = a.rotary_scaling
    kinds = {"linear": RotaryScalingType.Linear, "llama3": RotaryScalingType.Llama3}
    activations = {
        "silu": Activation.SWISH,
        "gelu": Activation.GELU,
        "gelu_tanh": Activation.GELUTanh,
    }
    spec = TransformerDecoderModelSpec.from_config(
        a.layers,
        a.heads,
        activation=activations[a.activation],
        pre_norm=True,
        ffn_glu=True,
        rms_norm=True,
        rotary_dim=0,
        rotary_interleave=False,
        rotary_base=a.rotary_base,
        rotary_scaling_type=None if scaling is None else kinds[scaling.kind],
        original_max_position_embeddings=0 if scaling is None else scaling.original_tokens,
        num_heads_kv=a.key_heads if a.key_heads != a.heads else None,
        head_dim=a.head_size if a.head_size * a.heads != a.width else None,
        qk_norm=network.layers[0].query_norm is not None,
        pre_post_layer_norm=network.layers[0].attention_post_norm is not None,
    )
    # Any: the library declares every weight as None until it is set.
    decoder: Any = spec.decoder
    # CTranslate2 multiplies by the root of the width, or not at all.
    is_scaled = a.embedding_scale != 1
    assert not is_scaled or math.isclose(a.embedding_scale, math.sqrt(a.width), rel_tol=1e-6)
    decoder.scale_embeddings = is_scaled
    decoder.embeddings.weight = network.embeddings
    decoder.layer_norm.gamma = network.output_norm
    # Where this is the embeddings again, CTranslate2 stores them once.
    decoder.projection.weight = network.output
    for index, (filled, layer) in enumerate(zip(decoder.layer, network.layers, strict=True)):
        _fill_layer(filled, layer)
        _fill_positions(filled.self_attention, a, index)
    return spec


def _fill_layer(filled: Any, layer: Layer) -> None:
    attention, ffn = filled.self_attention, filled.ffn
    into, out = attention.linear
    into.weight, out.weight = layer.attention_in, layer.attention_out
    if layer.attention_in_bias is not None:
        into.bias = layer.attention_in_bias
    if layer.attention_out_bias is not None:
        out.bias = layer.attention_out_bias
    if layer.query_norm is not None:
        attention.q_norm.gamma, attention.k_norm.gamma = layer.query_norm, layer.key_norm
    ffn.linear_0.weight, ffn.linear_0_noact.weight = layer.gate, layer.up
    ffn.linear_1.weight = layer.down
    if layer.attention_post_norm is None:
        attention.layer_norm.gamma, ffn.layer_norm.gamma = layer.attention_norm, layer.ffn_norm
        return
    filled.input_layer_norm.gamma = layer.attention_norm
    filled.post_attention_layer_norm.gamma = layer.attention_post_norm
    filled.pre_feedforward_layer_norm.gamma = layer.ffn_norm
    filled.post_feedforward_layer_norm.gamma = layer.ffn_post_norm


def _fill_positions(attention: Any, a: Architecture, index: int) -> None:
    """What turns the heads of a layer; the library takes numpy's numbers."""
    base, scaling = a.rotary(index)
    attention.rotary_base = np.float32(base)
    if a.rotary_scaling is None:
        return
    # The library reads this of Llama 3, too, but its own specification has no place for it.
    vars(attention)["rotary_scaling_factor"] = np.float32(scaling.factor if scaling else 1)
    if a.rotary_scaling.kind == "llama3":
        attention.rotary_low_freq_factor = np.float32(a.rotary_scaling.low)
        attention.rotary_high_freq_factor = np.float32(a.rotary_scaling.high)
