"""Llama-family language models: GGUF to a CTranslate2 directory, without torch.

The layout that CTranslate2 wants is that of its own loaders for Hugging Face's Llama and Qwen2.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from halfsecond.errors import ConfigError
from halfsecond.models.llm.chat_template import read_chat
from halfsecond_export.prepare.gguf_file import GgufFile
from halfsecond_export.prepare.gguf_network import (
    DETAILS,
    Architecture,
    query_key_value,
    read_architecture,
    refuse_unread,
)
from halfsecond_export.prepare.gguf_tokenizer import read_vocabulary, write_tokenizer
from halfsecond_export.prepare.smoothing import calibration_conversations, smooth_decoder

QUANTIZATIONS = ("int8", "int8_float16", "float16", "float32")


def convert_gguf_files(source: Path, directory: Path, *, quantization: str) -> dict[str, Any]:
    """Writes a CTranslate2 model, its tokenizer and `chat.json` into an empty directory.

    Returns what the file says about itself: name, licence, sizes. Raises ModelCorruptError,
    UnsupportedModelError and ConfigError.
    """
    if quantization not in QUANTIZATIONS:
        raise ConfigError(
            f"quantization {quantization!r} is not supported; valid: {', '.join(QUANTIZATIONS)}"
        )
    file = GgufFile(source)
    architecture = read_architecture(file)
    vocabulary = read_vocabulary(file, architecture.vocabulary)
    write_tokenizer(file, vocabulary, directory, context_tokens=architecture.context_tokens)
    spec = build_spec(file, architecture)
    refuse_unread(file, architecture)
    if quantization.startswith("int8"):
        smooth_decoder(spec.decoder, architecture, _calibration_prompts(directory))
    spec.register_vocabulary(vocabulary.tokens)
    # Beginnings are part of the prompt, so CTranslate2's own are only names that must exist.
    spec.config.bos_token = vocabulary.bos_token or vocabulary.eos_token
    spec.config.eos_token = vocabulary.eos_token
    spec.config.unk_token = vocabulary.unknown_token
    spec.config.layer_norm_epsilon = architecture.norm_epsilon
    spec.validate()
    spec.optimize(quantization=quantization)
    spec.save(str(directory))
    return {**file.texts(DETAILS), "architecture": vars(architecture)}


def _calibration_prompts(directory: Path) -> list[list[int]]:
    """Conversations in the model's own format, as token ids."""
    from tokenizers import Tokenizer

    template, _ = read_chat(directory / "chat.json")
    tokenizer: Any = Tokenizer.from_file(str(directory / "tokenizer.json"))
    texts = [template.render(messages) for messages in calibration_conversations()]
    return [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]


def build_spec(file: GgufFile, architecture: Architecture) -> Any:
    """Returns the `TransformerDecoderModelSpec` with all weights in float32."""
    from ctranslate2.specs import Activation, TransformerDecoderModelSpec

    a = architecture
    spec = TransformerDecoderModelSpec.from_config(
        a.layers,
        a.heads,
        activation=Activation.SWISH,
        pre_norm=True,
        ffn_glu=True,
        rms_norm=True,
        rotary_dim=0,
        rotary_interleave=False,
        rotary_base=a.rotary_base,
        num_heads_kv=a.key_heads if a.key_heads != a.heads else None,
        head_dim=a.head_size if a.head_size * a.heads != a.width else None,
    )
    # Any: the library declares every weight as None until it is set.
    decoder: Any = spec.decoder
    decoder.scale_embeddings = False
    embeddings = file.tensor("token_embd.weight", (a.vocabulary, a.width))
    decoder.embeddings.weight = embeddings
    decoder.layer_norm.gamma = file.tensor("output_norm.weight", (a.width,))
    if file.has_tensor("output.weight"):
        decoder.projection.weight = file.tensor("output.weight", (a.vocabulary, a.width))
    else:
        # Small models use the embeddings again; CTranslate2 then stores them once.
        decoder.projection.weight = embeddings
    for index, layer in enumerate(decoder.layer):
        _fill_attention(file, a, index, layer.self_attention)
        _fill_feed_forward(file, a, index, layer.ffn)
    return spec


def _fill_attention(file: GgufFile, a: Architecture, index: int, attention: Any) -> None:
    prefix = f"blk.{index}"
    attention.layer_norm.gamma = file.tensor(f"{prefix}.attn_norm.weight", (a.width,))
    into = attention.linear[0]
    into.weight, bias = query_key_value(file, a, index)
    if bias is not None:
        into.bias = bias
    output = f"{prefix}.attn_output"
    attention.linear[1].weight = file.tensor(f"{output}.weight", (a.width, a.heads * a.head_size))
    if file.has_tensor(f"{output}.bias"):
        attention.linear[1].bias = file.tensor(f"{output}.bias", (a.width,))


def _fill_feed_forward(file: GgufFile, a: Architecture, index: int, ffn: Any) -> None:
    prefix = f"blk.{index}"
    ffn.layer_norm.gamma = file.tensor(f"{prefix}.ffn_norm.weight", (a.width,))
    ffn.linear_0.weight = file.tensor(f"{prefix}.ffn_gate.weight", (a.inner_width, a.width))
    ffn.linear_0_noact.weight = file.tensor(f"{prefix}.ffn_up.weight", (a.inner_width, a.width))
    ffn.linear_1.weight = file.tensor(f"{prefix}.ffn_down.weight", (a.width, a.inner_width))
