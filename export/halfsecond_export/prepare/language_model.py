"""A language model as its reader leaves it: network, tokens, tokenizer and chat template."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from halfsecond.models.llm.answerer import Message
from halfsecond.models.llm.chat_template import ChatTemplate
from halfsecond_export.prepare.decoder_network import Architecture, Network

TURN_ENDS = (
    "<|im_end|>",
    "<|eot_id|>",
    "<|end_of_text|>",
    "<|endoftext|>",
    "<|eom_id|>",
    "<end_of_turn>",
)
"""Control tokens that end a turn whatever the metadata calls them (llama.cpp stops at the same)."""


@dataclass(frozen=True)
class Chat:
    """How a conversation is written, and the tokens with a meaning of their own."""

    template: str
    """Jinja, as its publisher wrote it."""
    bos_token: str | None
    eos_token: str
    unknown_token: str
    stop_tokens: tuple[str, ...]
    """Those that end an answer."""
    is_bos_added: bool
    """Whether a prompt that does not begin with the first token must be given it."""


@dataclass(frozen=True)
class LanguageModel:
    """A model that was read; `tokens` are its vocabulary in the order of the ids."""

    architecture: Architecture
    network: Network
    tokens: list[str]
    tokenizer_json: str
    """Of the `tokenizers` library."""
    chat: Chat
    details: dict[str, Any] = field(default_factory=dict)
    """What the source says about itself: name, licence ..."""

    @cached_property
    def tokenizer(self) -> Any:
        """The `tokenizers.Tokenizer`."""
        from tokenizers import Tokenizer

        return Tokenizer.from_str(self.tokenizer_json)

    def conversation_tokens(self, messages: list[Message]) -> list[int]:
        """A conversation in the model's own format, ready to be answered."""
        text = self._template.render(messages)
        tokens: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return tokens

    def text_tokens(self, text: str) -> list[int]:
        """A plain text, after the token that texts of this model begin with."""
        tokens: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        if self.chat.is_bos_added and self.chat.bos_token is not None:
            return [self.tokens.index(self.chat.bos_token), *tokens]
        return tokens

    def write_chat(self, directory: Path) -> None:
        """Writes `tokenizer.json` and `chat.json`, from which the runtime makes prompts."""
        (directory / "tokenizer.json").write_text(self.tokenizer_json, encoding="utf-8")
        chat = self.chat
        ids = {token: index for index, token in enumerate(self.tokens)}
        content = {
            "chat_template": chat.template,
            "bos_token": chat.bos_token or "",
            "eos_token": chat.eos_token,
            "stop_tokens": list(chat.stop_tokens),
            "bos_id": ids.get(chat.bos_token or ""),
            "eos_id": ids[chat.eos_token],
            "stop_ids": [ids[token] for token in chat.stop_tokens],
            "is_bos_added": chat.is_bos_added,
            "context_tokens": self.architecture.context_tokens,
        }
        text = json.dumps(content, indent=2, ensure_ascii=False)
        (directory / "chat.json").write_text(text + "\n", encoding="utf-8")

    @cached_property
    def _template(self) -> ChatTemplate:
        chat = self.chat
        names = {"bos_token": chat.bos_token or "", "eos_token": chat.eos_token}
        return ChatTemplate(chat.template, special_tokens=names)
