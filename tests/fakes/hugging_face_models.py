"""Tiny language models with random weights as Hugging Face directories, one of each family.

Weights come from numpy alone, so that `tests/export/data/llm_logits.npz` (what transformers makes
of them, see `test_llm_transformers.py`) holds on any machine.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from fakes.gguf_networks import CHATML, MERGES, TOKENS

Array = np.ndarray[Any, Any]

PROMPT = [
    1,
    259,
    5,
    77,
    30,
    262,
    8,
    8,
    100,
    201,
    44,
    3,
    260,
    7,
    19,
    263,
    150,
    90,
    61,
    12,
    2,
    1,
    9,
    33,
]
GOLDEN_ROWS = (0, 5, 11, 23)
GOLDEN_COLUMNS = slice(None, None, 4)

_COMMON = {
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 256,
    "vocab_size": 272,
    "rms_norm_eps": 1e-5,
    "hidden_act": "silu",
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}

CONFIGS: dict[str, dict[str, Any]] = {
    "llama": {
        **_COMMON,
        "model_type": "llama",
        "rope_parameters": {**_LLAMA3, "rope_theta": 5000.0},
        "tie_word_embeddings": False,
    },
    # As files of older versions say it.
    "llama-linear": {
        **_COMMON,
        "model_type": "llama",
        "num_key_value_heads": 4,
        "attention_bias": True,
        "rope_theta": 20_000.0,
        "rope_scaling": {"type": "linear", "factor": 2.0},
        "tie_word_embeddings": True,
    },
    "mistral": {**_COMMON, "model_type": "mistral", "sliding_window": 8, "rope_theta": 10_000.0},
    "qwen2": {
        **{key: value for key, value in _COMMON.items() if key != "head_dim"},
        "model_type": "qwen2",
        "hidden_size": 64,
        "tie_word_embeddings": True,
        "rope_theta": 1e6,
        "sliding_window": 32,
        "use_sliding_window": False,
    },
    "qwen3": {
        **_COMMON,
        "model_type": "qwen3",
        "tie_word_embeddings": True,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6},
    },
    "gemma3": {
        **{key: value for key, value in _COMMON.items() if key != "hidden_act"},
        "model_type": "gemma3_text",
        "hidden_activation": "gelu_pytorch_tanh",
        "query_pre_attn_scalar": 24,
        "sliding_window": 8,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
        "tie_word_embeddings": True,
        "rope_parameters": {
            "full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e6},
            "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
        },
    },
}


def shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """The tensors that transformers saves for a model of this config."""
    family, width = config["model_type"], config["hidden_size"]
    heads, key_heads = config["num_attention_heads"], config["num_key_value_heads"]
    size = config.get("head_dim", width // heads)
    found: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (config["vocab_size"], width)}
    if not config.get("tie_word_embeddings", False):
        found["lm_head.weight"] = (config["vocab_size"], width)
    norms = ["input", "post_attention"]
    norms += ["pre_feedforward", "post_feedforward"] if family == "gemma3_text" else []
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}"
        rows = {"q_proj": heads * size, "k_proj": key_heads * size, "v_proj": key_heads * size}
        for name, count in rows.items():
            found[f"{at}.self_attn.{name}.weight"] = (count, width)
            if family == "qwen2" or config.get("attention_bias"):
                found[f"{at}.self_attn.{name}.bias"] = (count,)
        found[f"{at}.self_attn.o_proj.weight"] = (width, heads * size)
        if config.get("attention_bias"):
            found[f"{at}.self_attn.o_proj.bias"] = (width,)
        if family in ("qwen3", "gemma3_text"):
            found[f"{at}.self_attn.q_norm.weight"] = (size,)
            found[f"{at}.self_attn.k_norm.weight"] = (size,)
        for name in ("gate_proj", "up_proj"):
            found[f"{at}.mlp.{name}.weight"] = (config["intermediate_size"], width)
        found[f"{at}.mlp.down_proj.weight"] = (width, config["intermediate_size"])
        found |= {f"{at}.{name}_layernorm.weight": (width,) for name in norms}
    found["model.norm.weight"] = (width,)
    return found


def weights(config: dict[str, Any]) -> dict[str, Array]:
    """Random weights under which every part of the network matters to the logits."""
    random = np.random.default_rng(11)
    made: dict[str, Array] = {}
    for name, shape in shapes(config).items():
        if "norm" in name:
            values = random.uniform(0.5, 1.5, shape) - (config["model_type"] == "gemma3_text")
        elif len(shape) == 1:
            values = random.normal(size=shape) * 0.5
        else:
            values = random.normal(size=shape) / np.sqrt(shape[1]) * 1.5
        made[name] = values.astype(np.float32)
    return made


def write_model(name: str, directory: Path, **changes: Any) -> Path:
    """Leaves the model `name`, its config changed by `changes`, with tokenizer and template."""
    config = {**CONFIGS[name], **changes}
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(json.dumps(config))
    save_file(weights(config), directory / "model.safetensors", metadata={"format": "pt"})
    write_tokenizer(directory)
    return directory


def write_tokenizer(directory: Path) -> None:
    """Byte-level BPE with the tokens of `gguf_networks`, and ChatML."""
    tokens = {token: index for index, token in enumerate(TOKENS)}
    merges: Any = [tuple(merge.split(" ")) for merge in MERGES]
    tokenizer: Any = Tokenizer(models.BPE(tokens, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = [AddedToken(token, special=True, normalized=False) for token in TOKENS[:3]]
    tokenizer.add_special_tokens(special)
    tokenizer.save(str(directory / "tokenizer.json"))
    config = {"bos_token": "<|im_start|>", "eos_token": {"content": "<|im_end|>"}}
    (directory / "tokenizer_config.json").write_text(
        json.dumps({**config, "chat_template": CHATML})
    )
