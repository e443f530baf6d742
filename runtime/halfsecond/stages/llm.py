"""The stage that answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from halfsecond.metrics import METRICS
from halfsecond.models.llm.answerer import Answerer, Message, Sampling
from halfsecond.stages.stage import Cancel


@dataclass(frozen=True)
class LlmRequest:
    """A conversation whose last message is the question; or one to prefill, without a question; or
    one to judge, whose last message is all that the visitor said so far, without facts."""

    messages: list[Message]
    sampling: Sampling
    action: Literal["answer", "prefill", "judge", "forget"] = "answer"
    """"judge" gives one reply, without text but with `sentence_end`; "forget" drops what the cache
    holds of every conversation."""


@dataclass(frozen=True)
class LlmReply:
    """The next piece of the answer, or a judgement."""

    text: str
    sentence_end: float | None = None
    """How likely the visitor's words end there, 0 to 1; None for an answer, and from answerers that
    cannot tell."""


class LlmStage:
    """An answerer of any kind, opened on the stage's own thread."""

    name: ClassVar[str] = "llm"
    request_type: ClassVar[Any] = LlmRequest
    reply_type: ClassVar[Any] = LlmReply

    def __init__(self, open_answerer: Callable[[], Answerer], *, label: str) -> None:
        self._open_answerer = open_answerer
        self._label = label

    def open(self) -> None:
        self._answerer = self._open_answerer()

    def run(self, request: LlmRequest, cancel: Cancel) -> Iterator[LlmReply]:
        if request.action == "judge":
            yield LlmReply("", self._answerer.sentence_end(request.messages))
            return
        if request.action != "answer":
            if request.action == "prefill":
                self._answerer.prefill(request.messages)
            else:
                self._answerer.forget()
            # Only a local model keeps prompts.
            METRICS.prompt_cache_tokens.set(getattr(self._answerer, "cached_tokens", 0))
            return
        pieces = self._answerer.answer(
            request.messages, sampling=request.sampling, is_cancelled=cancel.is_set
        )
        for piece in pieces:
            yield LlmReply(piece)

    def health(self) -> str:
        return self._label

    def close(self) -> None:
        self._answerer.close()
