"""Reading a language model from a Hugging Face directory, without torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from halfsecond.errors import ModelCorruptError, UnsupportedModelError
from halfsecond_export.json_file import read_json
from halfsecond_export.llm.families import query_scale, read_architecture
from halfsecond_export.llm.tokenizer import read_tokenizer
from halfsecond_export.prepare.decoder_network import Architecture, Array, Layer, Network
from halfsecond_export.prepare.language_model import LanguageModel
from halfsecond_export.safetensors_file import SafetensorsWeights

# Of models that see, too, and where their language model is; the first that fits is taken.
_PREFIXES = ("model.", "language_model.model.", "model.language_model.")
_EMBEDDINGS = "embed_tokens.weight"

# What is no weight of the language model.
_OTHERS = (
    "vision_tower.",
    "multi_modal_projector.",
    "model.vision_tower.",
    "model.multi_modal_projector.",
)
_COMPUTED = ("rotary_emb.inv_freq",)


def read_hugging_face(directory: Path) -> tuple[LanguageModel, list[Path]]:
    """The model, with its weights in float32, and the files that it was read from.

    Raises ModelMissingError, ModelCorruptError and UnsupportedModelError.
    """
    config = directory / "config.json"
    values = read_json(config)
    architecture = read_architecture(values, name=str(config))
    tokens, tokenizer_json, chat, files = read_tokenizer(directory, architecture.vocabulary)
    weights = SafetensorsWeights(directory)
    is_tied = bool(values.get("tie_word_embeddings", architecture.family == "gemma3"))
    network = _Reader(weights, architecture).network(is_tied=is_tied)
    for layer in network.layers:
        if layer.query_norm is not None:
            layer.query_norm = layer.query_norm * np.float32(query_scale(values, architecture))
    details = {key: str(values[key]) for key in ("_name_or_path",) if values.get(key)}
    model = LanguageModel(architecture, network, tokens, tokenizer_json, chat, details)
    return model, [config, *files, *weights.files]


class _Reader:
    """Puts tensors to their places by the names of the modules of transformers."""

    def __init__(self, weights: SafetensorsWeights, architecture: Architecture) -> None:
        self._weights = weights
        self._sizes = architecture
        fitting = [p for p in _PREFIXES if p + _EMBEDDINGS in weights.names]
        self._prefix = fitting[0] if fitting else _PREFIXES[0]
        # Gemma stores what its norm weights differ from 1 by.
        self._norm_offset = np.float32(architecture.family == "gemma3")

    def network(self, *, is_tied: bool) -> Network:
        """All weights. Raises UnsupportedModelError for one that has no place."""
        a = self._sizes
        embeddings = self._tensor(_EMBEDDINGS, (a.vocabulary, a.width))
        layers = [self._layer(f"layers.{index}") for index in range(a.layers)]
        output_norm = self._norm("norm", a.width)
        network = Network(embeddings, layers, output_norm, embeddings)
        heads = [n for n in self._weights.names if n.endswith("lm_head.weight")]
        if heads:
            output = self._weights.tensor(heads[0], (a.vocabulary, a.width))
            network.output = embeddings if is_tied else output
        left = [
            name
            for name in self._weights.unread
            if not name.startswith(_OTHERS) and not name.endswith(_COMPUTED)
        ]
        if left:
            raise UnsupportedModelError(
                f"{len(left)} tensors have no place in the {a.family} architecture: "
                f"{', '.join(left[:5])}"
            )
        return network

    def _layer(self, at: str) -> Layer:
        a, is_gemma = self._sizes, self._sizes.family == "gemma3"
        rows = a.heads * a.head_size
        attention_in, attention_in_bias = self._attention_in(at)
        inner = (a.inner_width, a.width)
        layer = Layer(
            attention_norm=self._norm(f"{at}.input_layernorm", a.width),
            attention_in=attention_in,
            attention_in_bias=attention_in_bias,
            attention_out=self._tensor(f"{at}.self_attn.o_proj.weight", (a.width, rows)),
            attention_out_bias=self._optional(f"{at}.self_attn.o_proj.bias", (a.width,)),
            ffn_norm=self._norm(
                f"{at}.{'pre_feedforward' if is_gemma else 'post_attention'}_layernorm", a.width
            ),
            gate=self._tensor(f"{at}.mlp.gate_proj.weight", inner),
            up=self._tensor(f"{at}.mlp.up_proj.weight", inner),
            down=self._tensor(f"{at}.mlp.down_proj.weight", inner[::-1]),
        )
        if a.family in ("qwen3", "gemma3"):
            layer.query_norm = self._norm(f"{at}.self_attn.q_norm", a.head_size)
            layer.key_norm = self._norm(f"{at}.self_attn.k_norm", a.head_size)
        if is_gemma:
            layer.attention_post_norm = self._norm(f"{at}.post_attention_layernorm", a.width)
            layer.ffn_post_norm = self._norm(f"{at}.post_feedforward_layernorm", a.width)
        return layer

    def _attention_in(self, at: str) -> tuple[Array, Array | None]:
        a = self._sizes
        heads = (a.heads, a.key_heads, a.key_heads)
        weights, biases = [], []
        for name, count in zip(("q_proj", "k_proj", "v_proj"), heads, strict=True):
            rows = count * a.head_size
            weights.append(self._tensor(f"{at}.self_attn.{name}.weight", (rows, a.width)))
            biases.append(self._optional(f"{at}.self_attn.{name}.bias", (rows,)))
        present = [bias for bias in biases if bias is not None]
        if present and len(present) < len(biases):
            raise ModelCorruptError(f"{at}: biases of some of queries, keys and values are missing")
        return np.concatenate(weights), np.concatenate(present) if present else None

    def _norm(self, name: str, size: int) -> Array:
        norm: Array = self._tensor(f"{name}.weight", (size,)) + self._norm_offset
        return norm

    def _optional(self, name: str, shape: tuple[int, ...]) -> Array | None:
        return self._tensor(name, shape) if self._prefix + name in self._weights.names else None

    def _tensor(self, name: str, shape: tuple[int, ...]) -> Array:
        return self._weights.tensor(self._prefix + name, shape)
