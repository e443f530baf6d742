"""The tiny models of `hugging_face_models` as llama.cpp's converter would leave them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np

from fakes.gguf_networks import CHATML, EPSILON, MERGES, TOKENS
from fakes.hugging_face_models import Array, weights


def pairs(rows: Array, heads: int) -> Array:
    """Rows of each head as llama.cpp stores Llama's: x0, y0, x1, y1 ..."""
    halves = rows.reshape(heads, 2, rows.shape[0] // heads // 2, -1)
    found: Array = halves.swapaxes(1, 2).reshape(rows.shape)
    return found


def write_gguf(config: dict[str, Any], path: Path) -> Path:
    """The weights of a tiny Hugging Face model as llama.cpp's converter would leave them."""
    family = config["model_type"]
    writer = gguf.GGUFWriter(path, family)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    if "head_dim" in config:
        writer.add_key_length(config["head_dim"])
        writer.add_rope_dimension_count(config["head_dim"])
    writer.add_layer_norm_rms_eps(EPSILON)
    rope = config.get("rope_parameters", config)
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope.get("rope_type") == "llama3":
        writer.add_tensor("rope_freqs.weight", llama_factors(config["head_dim"], rope))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    tokens = [*TOKENS, *(f"<{index}>" for index in range(config["vocab_size"] - len(TOKENS)))]
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3, 3] + [1] * (len(tokens) - 3))
    writer.add_token_merges(MERGES)
    writer.add_eos_token_id(2)
    writer.add_chat_template(CHATML)
    parts = {"self_attn.q": "attn_q", "self_attn.k": "attn_k", "self_attn.v": "attn_v"}
    parts |= {"self_attn.o": "attn_output", "mlp.gate": "ffn_gate", "mlp.up": "ffn_up"}
    parts |= {"mlp.down": "ffn_down", "input": "attn_norm", "post_attention": "ffn_norm"}
    whole = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    for tensor, values in weights(config).items():
        stem, kind = tensor.rsplit(".", 1)
        if stem in whole:
            writer.add_tensor(f"{whole[stem]}.{kind}", values)
            continue
        layer, part = stem.removeprefix("model.layers.").split(".", 1)
        short = part.removesuffix("_proj").removesuffix("_layernorm")
        if short in ("self_attn.q_norm", "self_attn.k_norm"):
            place = f"attn_{short[-6:]}"
        else:
            place = parts[short]
            if family == "llama" and place in ("attn_q", "attn_k"):
                count = "num_attention_heads" if place == "attn_q" else "num_key_value_heads"
                values = pairs(values, config[count])
        writer.add_tensor(f"blk.{layer}.{place}.{kind}", np.ascontiguousarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def llama_factors(size: int, rope: dict[str, Any]) -> Array:
    """What llama.cpp's converter computes for Llama 3.1, frequency by frequency."""
    factors = []
    for at in range(size // 2):
        length = 2 * np.pi * rope["rope_theta"] ** (2 * at / size)
        share = rope["original_max_position_embeddings"] / length
        if share > rope["high_freq_factor"]:
            factors.append(1.0)
        elif share < rope["low_freq_factor"]:
            factors.append(rope["factor"])
        else:
            smooth = (share - rope["low_freq_factor"]) / (
                rope["high_freq_factor"] - rope["low_freq_factor"]
            )
            factors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return np.array(factors, np.float32)
