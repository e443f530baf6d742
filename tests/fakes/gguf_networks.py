"""Tiny language models with random weights as GGUF files, and what they must answer.

`forward` computes in float64, straight from the file's own layout, and shares nothing with the
converters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np

Array = np.ndarray[Any, Any]
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
WIDTH, INNER, HEADS, KEY_HEADS, LAYERS = 96, 80, 6, 2, 3
SIZE = WIDTH // HEADS
EPSILON, ROTARY_BASE = 1e-5, 5_000.0


def byte_letters() -> list[str]:
    """GPT-2's printable stand-ins for the 256 bytes, in the order of the bytes."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte) if byte in kept else chr(next(others)) for byte in range(256)]


MERGES = ["h e", "l l", "he ll", "hell o", "Ġ t", "i n"]
TOKENS = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    *byte_letters(),
    *(merge.replace(" ", "") for merge in MERGES),
]


@dataclass
class Tiny:
    """A random network of one family; `weights` are in the layout of the file."""

    family: str
    weights: dict[str, Array]
    pre: str = "smollm"
    tokenizer: str = "gpt2"
    template: str = CHATML
    tokens: tuple[str, ...] = tuple(TOKENS)
    merges: tuple[str, ...] = tuple(MERGES)

    def write(self, path: Path) -> Path:
        writer = gguf.GGUFWriter(path, self.family)
        writer.add_name("Tiny")
        writer.add_license("apache-2.0")
        writer.add_context_length(512)
        writer.add_embedding_length(WIDTH)
        writer.add_feed_forward_length(INNER)
        writer.add_block_count(LAYERS)
        writer.add_head_count(HEADS)
        writer.add_head_count_kv(KEY_HEADS)
        writer.add_layer_norm_rms_eps(EPSILON)
        writer.add_rope_freq_base(ROTARY_BASE)
        writer.add_tokenizer_model(self.tokenizer)
        writer.add_tokenizer_pre(self.pre)
        writer.add_token_list(self.tokens)
        writer.add_token_types([3, 3, 3] + [1] * (len(self.tokens) - 3))
        writer.add_token_merges(self.merges)
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)
        if self.template:
            writer.add_chat_template(self.template)
        for name, values in self.weights.items():
            writer.add_tensor(name, values.astype(np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path


def tiny(
    family: str,
    *,
    is_tied: bool = True,
    has_biases: bool | None = None,
    merges: Sequence[str] = MERGES,
) -> Tiny:
    tokens = (*TOKENS[:259], *(merge.replace(" ", "") for merge in merges))
    rng = np.random.default_rng(7)
    rows = {"attn_q": HEADS * SIZE, "attn_k": KEY_HEADS * SIZE, "attn_v": KEY_HEADS * SIZE}
    weights: dict[str, Array] = {
        "token_embd.weight": rng.normal(size=(len(tokens), WIDTH)),
        "output_norm.weight": rng.uniform(0.5, 1.5, WIDTH),
    }
    if not is_tied:
        weights["output.weight"] = rng.normal(size=(len(tokens), WIDTH))
    for index in range(LAYERS):
        block = f"blk.{index}"
        shapes = {name: (count, WIDTH) for name, count in rows.items()}
        shapes |= {"attn_output": (WIDTH, WIDTH), "ffn_gate": (INNER, WIDTH)}
        shapes |= {"ffn_up": (INNER, WIDTH), "ffn_down": (WIDTH, INNER)}
        for name, shape in shapes.items():
            weights[f"{block}.{name}.weight"] = rng.normal(size=shape) / np.sqrt(shape[1]) * 1.5
        for name in ("attn_norm", "ffn_norm"):
            weights[f"{block}.{name}.weight"] = rng.uniform(0.5, 1.5, WIDTH)
        if family == "qwen2" if has_biases is None else has_biases:
            for name, count in rows.items():
                weights[f"{block}.{name}.bias"] = rng.normal(size=count)
    pre = "qwen2" if family == "qwen2" else "smollm"
    return Tiny(family, weights, pre=pre, tokens=tokens, merges=tuple(merges))


def forward(network: Tiny, ids: list[int]) -> Array:
    """Log probabilities (tokens, vocabulary), straight from the file's own layout."""
    w = network.weights
    state = w["token_embd.weight"][ids]
    for index in range(LAYERS):

        def project(x: Array, name: str, block: str = f"blk.{index}") -> Array:
            result: Array = x @ w[f"{block}.{name}.weight"].T
            return result + w.get(f"{block}.{name}.bias", 0.0)

        normed = rms_norm(state, w[f"blk.{index}.attn_norm.weight"])
        queries, keys, values = (
            project(normed, name).reshape(len(ids), -1, SIZE)
            for name in ("attn_q", "attn_k", "attn_v")
        )
        queries, keys = rotate(queries, network.family), rotate(keys, network.family)
        mixed = np.empty((len(ids), HEADS, SIZE))
        for head in range(HEADS):
            shared = head // (HEADS // KEY_HEADS)
            for at in range(len(ids)):
                scores = keys[: at + 1, shared] @ queries[at, head] / np.sqrt(SIZE)
                weights = np.exp(scores - scores.max())
                mixed[at, head] = weights @ values[: at + 1, shared] / weights.sum()
        state = state + project(mixed.reshape(len(ids), -1), "attn_output")
        normed = rms_norm(state, w[f"blk.{index}.ffn_norm.weight"])
        gate = project(normed, "ffn_gate")
        inner = gate / (1 + np.exp(-gate)) * project(normed, "ffn_up")
        state = state + project(inner, "ffn_down")
    final = rms_norm(state, w["output_norm.weight"])
    return log_softmax(final @ w.get("output.weight", w["token_embd.weight"]).T)


def rms_norm(state: Array, gamma: Array) -> Array:
    result: Array = state / np.sqrt((state**2).mean(-1, keepdims=True) + EPSILON) * gamma
    return result


def rotate(heads: Array, family: str) -> Array:
    """llama.cpp turns neighbours (2i, 2i + 1) for llama, and (i, i + size / 2) for qwen2."""
    result = np.empty_like(heads)
    for pair in range(SIZE // 2):
        a, b = (2 * pair, 2 * pair + 1) if family == "llama" else (pair, pair + SIZE // 2)
        angle = np.arange(len(heads))[:, None] * ROTARY_BASE ** (-2 * pair / SIZE)
        result[..., a] = heads[..., a] * np.cos(angle) - heads[..., b] * np.sin(angle)
        result[..., b] = heads[..., a] * np.sin(angle) + heads[..., b] * np.cos(angle)
    return result


def log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max(-1, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return result


NETWORKS = {
    "llama with tied embeddings": lambda: tiny("llama"),
    "llama with its own output layer": lambda: tiny("llama", is_tied=False),
    "llama with attention biases": lambda: tiny("llama", has_biases=True),
    "qwen2": lambda: tiny("qwen2"),
}
PROMPT = [1, 40, 80, 120, 2, 1, 77, 200, 260, 9, 9, 33]
