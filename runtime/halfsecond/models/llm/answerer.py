"""What an answerer is: a conversation in, text out as it is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True)
class Message:
    """What was said by whom; the system's message is the persona."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen; temperature 0 is greedy."""

    temperature: float = 0.0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    """Above 1 small models swap words of the facts: with 1.1 "from six to fifteen" became
    "from sixteen to eighteen"."""
    max_tokens: int = 96
    seed: int | None = None


class Answerer(Protocol):
    """A source of answers: a local model, an OpenAI-compatible address, or a Python function."""

    def prefill(self, messages: Sequence[Message]) -> None:
        """Takes the conversation so far (system prompt and history, not the question) ahead of
        time, so that `answer` with these messages in front starts sooner. May do nothing."""
        ...

    def answer(
        self,
        messages: Sequence[Message],
        *,
        sampling: Sampling,
        is_cancelled: Callable[[], bool],
    ) -> Iterator[str]:
        """Pieces of the answer as they are made, whose concatenation is the answer.

        Stops within one token of `is_cancelled()` turning true. The last message is the question.
        """
        ...

    def sentence_end(self, messages: Sequence[Message]) -> float | None:
        """How likely the last message, all that the visitor said so far, ends after its last word,
        0 to 1; None if this answerer cannot tell.

        Of use before `answer` with the same messages in front: what it takes in is kept.
        """
        ...

    def forget(self) -> None:
        """Drops what is kept of conversations: the last visitor has left. May do nothing."""
        ...

    def close(self) -> None: ...
