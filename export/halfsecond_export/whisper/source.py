"""Opening a Whisper: of CTranslate2, Hugging Face or optimum in a directory, or OpenAI's file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from halfsecond.errors import ConfigError, ModelCorruptError, ModelMissingError
from halfsecond.errors import UnsupportedModelError as Unsupported
from halfsecond.models.asr.network import MULTILINGUAL_VOCABULARY
from halfsecond_export import hub
from halfsecond_export.json_file import read_json
from halfsecond_export.prepare.ctranslate2_file import Ctranslate2File
from halfsecond_export.prepare.whisper_network import WhisperNetwork, read_ctranslate2
from halfsecond_export.safetensors_file import INDEX_NAME, SINGLE_NAME, SafetensorsWeights
from halfsecond_export.whisper.optimum import OptimumWeights, graphs_in
from halfsecond_export.whisper.weight_names import HUGGING_FACE, OPENAI, read_network

SUPPORTED = (
    "a directory with model.bin (CTranslate2), model.safetensors (Hugging Face) or "
    "encoder_model.onnx and decoder_model.onnx (optimum) and its tokenizer.json, or an OpenAI "
    "checkpoint .pt with --tokenizer DIRECTORY"
)


HUB_FILES = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    "model.bin",
]


@dataclass(frozen=True)
class Decoding:
    """What a decoder needs to know beside its weights; token ids."""

    alignment_heads: tuple[tuple[int, int], ...]
    """Layer and head of the cross-attention that follows the sound."""
    languages: tuple[int, ...]
    suppressed: tuple[int, ...]
    suppressed_first: tuple[int, ...]

    def as_config(self) -> dict[str, Any]:
        """In CTranslate2's words, which the runtime reads too."""
        return {
            "alignment_heads": [list(pair) for pair in self.alignment_heads],
            "lang_ids": list(self.languages),
            "suppress_ids": list(self.suppressed),
            "suppress_ids_begin": list(self.suppressed_first),
        }


@dataclass(frozen=True)
class WhisperSource:
    """A Whisper that was read."""

    network: WhisperNetwork
    decoding: Decoding
    tokenizer: Path
    files: tuple[Path, ...]
    """What it was read from."""

    @property
    def is_english_only(self) -> bool:
        """Whether it knows no other language."""
        return len(self.network.embeddings) < MULTILINGUAL_VOCABULARY


def fetched(source: str) -> Path:
    """The path that `source` is, or what a Hugging Face repository of this id holds.

    Raises FetchError where the repository cannot be reached.
    """
    return hub.fetched(source, HUB_FILES)


def open_source(path: Path, *, tokenizer: Path | None = None) -> WhisperSource:
    """The Whisper at `path`.

    tokenizer: the directory with `tokenizer.json` and `config.json` or `generation_config.json`,
        for a checkpoint that has none.

    Raises:
        ModelMissingError: a file is not there.
        ModelCorruptError: one cannot be read.
        UnsupportedModelError: it is no Whisper, or of a kind that is not known.
    """
    if path.is_dir():
        if (path / "model.bin").is_file():
            return _ctranslate2(path)
        if (path / "config.json").is_file():
            return _hugging_face(path)
        found = ", ".join(sorted(file.name for file in path.iterdir())[:8]) or "nothing"
        raise Unsupported(f"{path} holds {found}; expected {SUPPORTED}")
    if path.suffix == ".pt" and path.is_file():
        return _openai(path, tokenizer)
    if not path.exists():
        raise ModelMissingError(f"there is nothing at {path}; expected {SUPPORTED}")
    raise Unsupported(f"{path} is no Whisper that can be read; expected {SUPPORTED}")


def _ctranslate2(directory: Path) -> WhisperSource:
    model = directory / "model.bin"
    return WhisperSource(
        read_ctranslate2(Ctranslate2File(model)),
        _decoding(directory / "config.json"),
        _needed(directory / "tokenizer.json"),
        (model, directory / "config.json", directory / "tokenizer.json"),
    )


def _hugging_face(directory: Path) -> WhisperSource:
    config = _json(directory / "config.json")
    if config.get("model_type") != "whisper":
        raise Unsupported(
            f"{directory / 'config.json'} is of model type {config.get('model_type')!r}, expected "
            "'whisper'"
        )
    stored = _stored(directory)
    weights = {name: stored.tensor(name) for name in stored.names}
    network = read_network(
        weights, HUGGING_FACE, heads=int(config["decoder_attention_heads"]), file=str(directory)
    )
    return WhisperSource(
        network,
        _decoding(directory / "generation_config.json"),
        _needed(directory / "tokenizer.json"),
        (*stored.files, directory / "config.json", directory / "generation_config.json"),
    )


def _stored(directory: Path) -> SafetensorsWeights | OptimumWeights:
    """The weights of a Hugging Face directory, in whichever file they are."""
    has_weights = any((directory / name).is_file() for name in (SINGLE_NAME, INDEX_NAME))
    if not has_weights and (graphs := graphs_in(directory)) is not None:
        return OptimumWeights(graphs)
    return SafetensorsWeights(directory)


def _openai(path: Path, tokenizer: Path | None) -> WhisperSource:
    if tokenizer is None:
        raise ConfigError(
            f"{path} has no tokenizer; give the directory that holds tokenizer.json and "
            "generation_config.json (of Hugging Face's copy) with --tokenizer"
        )
    import torch  # pyright: ignore[reportMissingImports]

    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        dims, state = checkpoint["dims"], checkpoint["model_state_dict"]
        weights = {name: value.float().numpy() for name, value in state.items()}
        heads = int(dims["n_text_head"])
    except Exception as error:
        # torch raises what it likes on a file that is none, or holds code instead of weights.
        raise ModelCorruptError(
            f"{path} cannot be read as an OpenAI checkpoint ({type(error).__name__}: {error}); "
            f"expected {SUPPORTED}"
        ) from error
    details = next(
        (f for f in ("generation_config.json", "config.json") if (tokenizer / f).is_file()), None
    )
    if details is None:
        raise ModelMissingError(f"no generation_config.json in {tokenizer}")
    return WhisperSource(
        read_network(weights, OPENAI, heads=heads, file=str(path)),
        _decoding(tokenizer / details),
        _needed(tokenizer / "tokenizer.json"),
        (path, tokenizer / "tokenizer.json", tokenizer / details),
    )


def _decoding(path: Path) -> Decoding:
    """Of CTranslate2's `config.json`, or Hugging Face's `generation_config.json`."""
    config = _json(path)
    try:
        if "suppress_ids" in config:
            languages = config["lang_ids"]
            suppressed, first = config["suppress_ids"], config["suppress_ids_begin"]
        else:
            # English-only models name no languages.
            languages = sorted(config.get("lang_to_id", {}).values())
            suppressed, first = config["suppress_tokens"], config["begin_suppress_tokens"]
        heads = tuple((int(layer), int(head)) for layer, head in config["alignment_heads"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelCorruptError(
            f"{path} does not say how a Whisper decodes ({error!r}): suppress_tokens, "
            "begin_suppress_tokens and alignment_heads are needed"
        ) from error
    return Decoding(heads, tuple(languages), tuple(suppressed), tuple(first))


def _json(path: Path) -> dict[str, Any]:
    return read_json(_needed(path))


def _needed(path: Path) -> Path:
    if not path.is_file():
        raise ModelMissingError(f"there is no {path}; expected {SUPPORTED}")
    return path


def write_hugging_face(source: WhisperSource, directory: Path) -> None:
    """Leaves the model as Hugging Face's transformers reads it, in float32."""
    from safetensors.numpy import save_file

    from halfsecond_export.whisper.weight_names import named_weights

    network, decoding = source.network, source.decoding
    weights = {
        name: np.ascontiguousarray(values)
        for name, values in named_weights(network, HUGGING_FACE).items()
    }
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    ffn = len(network.decoder_layers[0].ffn.up.weight)
    config = {
        "model_type": "whisper",
        "architectures": ["WhisperForConditionalGeneration"],
        "vocab_size": len(network.embeddings),
        "num_mel_bins": network.mels,
        "d_model": network.width,
        "encoder_layers": len(network.encoder_layers),
        "decoder_layers": len(network.decoder_layers),
        "encoder_attention_heads": network.heads,
        "decoder_attention_heads": network.heads,
        "encoder_ffn_dim": ffn,
        "decoder_ffn_dim": ffn,
        "max_source_positions": len(network.encoder_positions),
        "max_target_positions": len(network.decoder_positions),
    }
    (directory / "config.json").write_text(json.dumps(config, indent=2))
    generation = {
        "alignment_heads": [list(pair) for pair in decoding.alignment_heads],
        "suppress_tokens": list(decoding.suppressed),
        "begin_suppress_tokens": list(decoding.suppressed_first),
        "lang_to_id": {f"<|{number}|>": number for number in decoding.languages},
    }
    (directory / "generation_config.json").write_text(json.dumps(generation, indent=2))
    (directory / "tokenizer.json").write_bytes(source.tokenizer.read_bytes())
