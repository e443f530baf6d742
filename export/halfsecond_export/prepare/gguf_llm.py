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
    Layer,
    Network,
    read_architecture,
    read_network,
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
    spec = build_spec(read_network(file, architecture), architecture)
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


def build_spec(network: Network, architecture: Architecture) -> Any:
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
    decoder.embeddings.weight = network.embeddings
    decoder.layer_norm.gamma = network.output_norm
    # Where this is the embeddings again, CTranslate2 stores them once.
    decoder.projection.weight = network.output
    for filled, layer in zip(decoder.layer, network.layers, strict=True):
        _fill_layer(filled, layer)
    return spec


def _fill_layer(filled: Any, layer: Layer) -> None:
    attention, ffn = filled.self_attention, filled.ffn
    attention.layer_norm.gamma = layer.attention_norm
    into, out = attention.linear
    into.weight, out.weight = layer.attention_in, layer.attention_out
    if layer.attention_in_bias is not None:
        into.bias = layer.attention_in_bias
    if layer.attention_out_bias is not None:
        out.bias = layer.attention_out_bias
    ffn.layer_norm.gamma = layer.ffn_norm
    ffn.linear_0.weight, ffn.linear_0_noact.weight = layer.gate, layer.up
    ffn.linear_1.weight = layer.down
