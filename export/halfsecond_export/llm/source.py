"""Opening a language model: a Hugging Face directory, or a GGUF file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from halfsecond.errors import ModelMissingError, UnsupportedModelError
from halfsecond_export import hub
from halfsecond_export.llm.hugging_face import read_hugging_face
from halfsecond_export.llm.lora import merge_lora
from halfsecond_export.prepare.gguf_llm import read_gguf
from halfsecond_export.prepare.language_model import LanguageModel

SUPPORTED = (
    "a Hugging Face directory (config.json, *.safetensors, tokenizer.json), the id of such a "
    "repository, or a .gguf file"
)
HUB_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "chat_template.json",
    "model*.safetensors",
    "model.safetensors.index.json",
)


@dataclass(frozen=True)
class LanguageModelSource:
    """A model that was read, and the files that it was read from."""

    model: LanguageModel
    files: tuple[Path, ...]


def fetched(source: str) -> Path:
    """The path that `source` is, or what a Hugging Face repository of this id holds.

    Raises FetchError where the repository cannot be reached.
    """
    return hub.fetched(source, HUB_FILES)


def open_source(path: Path, *, lora: Path | None = None) -> LanguageModelSource:
    """The model at `path`, with the adapter in the directory `lora` merged into it.

    Raises:
        ModelMissingError: a file is not there.
        ModelCorruptError: one cannot be read.
        UnsupportedModelError: it is of a family or a kind that is not known.
    """
    model, files = _opened(path)
    if lora is not None:
        files += merge_lora(model, lora)
    return LanguageModelSource(model, tuple(files))


def _opened(path: Path) -> tuple[LanguageModel, list[Path]]:
    if path.is_file() and path.suffix == ".gguf":
        return read_gguf(path), [path]
    if not path.exists():
        raise ModelMissingError(f"there is nothing at {path}; expected {SUPPORTED}")
    if (path / "adapter_config.json").is_file() and not (path / "config.json").is_file():
        raise UnsupportedModelError(
            f"{path} is an adapter without its model; give the model, and --lora {path}"
        )
    if (path / "model.bin").is_file() and (path / "vocabulary.json").is_file():
        raise UnsupportedModelError(
            f"{path} is converted to CTranslate2 already; give what it was made from: {SUPPORTED}"
        )
    if (path / "config.json").is_file():
        return read_hugging_face(path)
    found = ", ".join(sorted(file.name for file in path.iterdir())[:8]) if path.is_dir() else "no"
    raise UnsupportedModelError(f"{path} holds {found or 'nothing'}; expected {SUPPORTED}")
