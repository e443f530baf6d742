"""From a conversation to the token ids that a local model is given."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from halfsecond.errors import ModelCorruptError, ModelMissingError
from halfsecond.models.llm.answerer import Message
from halfsecond.models.llm.chat_template import read_chat

# Two questions that share no first token: what their prompts have in common is what every
# question's prompt begins with.
_PROBES = ("A?", "7!")

# What may come after the last word of a sentence, and what does not belong to that word.
_SENTENCE_ENDS = (
    ".", "?", "!", '."', '?"', '!"', ".)", "?)", "!)", "?!", "!!", "...", "\n", "\n\n",
    "。", "？", "！",
)  # fmt: skip
_NO_WORD = re.compile(r"[^\w]+$")


def require_files(model_path: Path, names: Sequence[str]) -> None:
    """Raises ModelMissingError for the first of these files that a model directory lacks."""
    for name in names:
        if not (model_path / name).is_file():
            raise ModelMissingError(
                f"{model_path / name} is missing; "
                "run `halfsecond models fetch` to fetch and prepare the model"
            )


class ChatPrompt:
    """The chat template and the tokenizer of a model directory."""

    def __init__(self, model_path: Path) -> None:
        """Reads `chat.json` and `tokenizer.json`.

        Raises ModelMissingError or ModelCorruptError.
        """
        self._template, self.end_tokens = read_chat(model_path / "chat.json")
        self._tokenizer = _open_tokenizer(model_path / "tokenizer.json")
        self._control_tokens = [
            token.content
            for token in self._tokenizer.get_added_tokens_decoder().values()
            if token.special
        ]
        ids = (self._tokenizer.token_to_id(token) for token in self.end_tokens)
        self.end_ids = frozenset(index for index in ids if index is not None)
        marks = (self.text_ids(mark) for mark in _SENTENCE_ENDS)
        self.sentence_end_ids = self.end_ids.union(mark[0] for mark in marks if len(mark) == 1)

    def ids(self, messages: Sequence[Message]) -> list[int]:
        """The prompt, which ends where the answer begins. No message can hold control tokens, so
        no visitor can write another's turn."""
        harmless = [Message(m.role, self._without_control(m.content)) for m in messages]
        return self.text_ids(self._template.render(harmless))

    def opening_ids(self, messages: Sequence[Message]) -> list[int]:
        """What the prompts of all questions after `messages` begin with."""
        first, second = (self.ids([*messages, Message("user", probe)]) for probe in _PROBES)
        return _common(first, second)

    def ids_to_last_word(self, messages: Sequence[Message]) -> list[int]:
        """The prompt up to the last word of the last message; empty if that holds no word."""
        *before, last = messages
        words = _NO_WORD.sub("", last.content)
        if not words:
            return []
        ended, going_on = (
            self.ids([*before, Message(last.role, text)]) for text in (words, f"{words} 7")
        )
        return _common(ended, going_on)

    def text_ids(self, text: str) -> list[int]:
        """The tokens of a text as it stands."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def names(self, ids: Sequence[int]) -> tuple[str, ...]:
        """The tokens of these ids as the vocabulary writes them."""
        return tuple(map(self._tokenizer.id_to_token, ids))

    def decode(self, ids: Sequence[int]) -> str:
        """The text of these ids, without control tokens."""
        text: str = self._tokenizer.decode(ids)
        return text

    def _without_control(self, content: str) -> str:
        # Again and again: taking one away may put another together.
        while (found := next((t for t in self._control_tokens if t in content), None)) is not None:
            content = content.replace(found, "")
        return content


def _common(first: Sequence[int], second: Sequence[int]) -> list[int]:
    """What both begin with."""
    pairs = zip(first, second, strict=False)
    return [index for index, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]


def _open_tokenizer(path: Path) -> Any:
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exception for what it cannot parse
        raise ModelCorruptError(
            f"{path} is no tokenizer: {error}; run `halfsecond models verify`"
        ) from error
