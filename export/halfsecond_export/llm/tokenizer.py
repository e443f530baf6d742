"""The tokenizer and the chat template of a Hugging Face directory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from halfsecond.errors import ModelCorruptError, ModelMissingError, UnsupportedModelError
from halfsecond_export.json_file import read_json_if_there
from halfsecond_export.prepare.language_model import TURN_ENDS, Chat

# What publishers' templates think aloud by, unless it is set: nobody waits for that in speech.
_THINKING = "enable_thinking"


def read_tokenizer(directory: Path, size: int) -> tuple[list[str], str, Chat, list[Path]]:
    """`size` tokens in the order of their ids, the tokenizer's JSON, how a conversation is
    written, and the files that say so.

    Raises ModelMissingError for a tokenizer that is not there, ModelCorruptError, and
    UnsupportedModelError for a model without a chat template.
    """
    path = directory / "tokenizer.json"
    if not path.is_file():
        raise ModelMissingError(
            f"there is no {path}, and without it the model cannot be given words; fetch it from "
            "where the weights are from"
        )
    tokenizer = _opened(path)
    tokens = _tokens(tokenizer, size)
    config = read_json_if_there(directory / "tokenizer_config.json")
    generation = read_json_if_there(directory / "generation_config.json")
    chat = _chat(directory, config, generation, tokens, tokenizer)
    names = ("tokenizer_config.json", "generation_config.json", "chat_template.jinja")
    files = [path, *[directory / name for name in names if (directory / name).is_file()]]
    return tokens, path.read_text(encoding="utf-8"), chat, files


def _opened(path: Path) -> Any:
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exception for what it cannot parse
        raise ModelCorruptError(f"{path} is no tokenizer ({error}); fetch it again") from error


def _tokens(tokenizer: Any, size: int) -> list[str]:
    """Embeddings may be more than there are tokens: these rows get names that no text makes."""
    known = {index: token for token, index in tokenizer.get_vocab(with_added_tokens=True).items()}
    return [known.get(index, f"<extra_id_{index}>") for index in range(size)]


def _chat(
    directory: Path,
    config: dict[str, Any],
    generation: dict[str, Any],
    tokens: list[str],
    tokenizer: Any,
) -> Chat:
    known = set(tokens)
    bos = _named(config, "bos_token")
    ids = generation.get("eos_token_id")
    ids = ids if isinstance(ids, list) else [ids]
    ends = [_named(config, "eos_token")]
    ends += [tokens[index] for index in ids if isinstance(index, int) and index < len(tokens)]
    ends += [token for token in TURN_ENDS if token in known]
    found = tuple(dict.fromkeys(token for token in ends if token in known))
    if not found:
        raise ModelCorruptError(
            f"{directory} names no token that ends an answer: eos_token of tokenizer_config.json, "
            "or eos_token_id of generation_config.json; fetch these files"
        )
    first = tokenizer.encode("a", add_special_tokens=True).tokens[:1]
    return Chat(
        template=_template(directory, config),
        bos_token=bos if bos in known else None,
        eos_token=found[0],
        unknown_token=_named(config, "unk_token") or "",
        stop_tokens=found,
        is_bos_added=bos is not None and first == [bos],
    )


def _template(directory: Path, config: dict[str, Any]) -> str:
    found = next(_templates(directory, config), "")
    if not found:
        raise UnsupportedModelError(
            f"{directory} has no chat template (chat_template.jinja, or chat_template in "
            "tokenizer_config.json); this is a base model, take its instruction variant"
        )
    if _THINKING in found:
        return "{%- set " + _THINKING + " = false -%}" + found
    return found


def _templates(directory: Path, config: dict[str, Any]) -> Iterator[str]:
    """Where publishers put it, the newest place first."""
    path = directory / "chat_template.jinja"
    if path.is_file():
        yield path.read_text(encoding="utf-8")
    for content in (config, read_json_if_there(directory / "chat_template.json")):
        named = content.get("chat_template")
        if isinstance(named, str) and named:
            yield named
        elif isinstance(named, list):
            yield from (each["template"] for each in named if each.get("name") == "default")


def _named(config: dict[str, Any], key: str) -> str | None:
    """A token by its role; it may be written with its settings."""
    found = config.get(key)
    if isinstance(found, dict):
        found = found.get("content")
    return found if isinstance(found, str) else None
