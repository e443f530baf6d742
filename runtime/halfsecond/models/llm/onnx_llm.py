"""The local answerer on ONNX Runtime: a chat model that checks several tokens in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile
from pathlib import Path

import numpy as np

from halfsecond.errors import StageError
from halfsecond.models.llm.answerer import Message, Sampling
from halfsecond.models.llm.chat_prompt import ChatPrompt, require_files
from halfsecond.models.llm.detokenizer import answer_text
from halfsecond.models.llm.drafting import Drafter, expected_answer
from halfsecond.models.llm.onnx_decoder import OnnxDecoder
from halfsecond.models.llm.token_choice import TokenChooser

FILES = ("model.onnx", "model.onnx.data", "tokenizer.json", "chat.json")

# Enough for a page of 400 words, four turns and an answer. SmolLM2-135M takes 46 KB a token, and
# only for tokens that were there: 47 MB when all of it was used once. With 2048 each pass took
# 1.5 ms longer.
CONTEXT_TOKENS = 1024

# Tokens of a prompt in one pass: some 0.1 s, after which it is seen that an answer was cancelled.
PASS_TOKENS = 96

# Tokens guessed in one pass. The first pass ends with the prompt, and what is guessed there makes
# the first words later; afterwards a pass for one token takes as long as for a few.
FIRST_DRAFT_TOKENS = 8
DRAFT_TOKENS = 8


class OnnxAnswerer:
    """Answers with a model directory of `gguf-to-onnx`, on this machine.

    `prefill` and `answer` are for one thread at a time. What a prompt has in common with the one
    before is not computed again: a persona, an unchanged history, the beginning of a question.
    A prompt that is too long loses its oldest turns.
    """

    def __init__(
        self,
        model_path: Path,
        *,
        threads: int = 1,
        context_tokens: int = CONTEXT_TOKENS,
        draft_tokens: int = DRAFT_TOKENS,
        first_draft_tokens: int = FIRST_DRAFT_TOKENS,
        stop: Sequence[str] = (),
    ) -> None:
        """Loads the model.

        `context_tokens`: prompt and answer together; memory is reserved for as many.
        `stop`: strings that end an answer and are not part of it, besides the model's end tokens.
        No drafts (0) give the same answers more slowly.

        Raises ModelMissingError or ModelCorruptError.
        """
        require_files(model_path, FILES)
        self._prompt = ChatPrompt(model_path)
        self._stop = tuple(stop)
        self._draft_tokens, self._first_draft_tokens = draft_tokens, first_draft_tokens
        self._decoder = OnnxDecoder(model_path, threads=threads, capacity=context_tokens)

    @property
    def cached_tokens(self) -> int:
        """How many tokens of prompts and answers are remembered."""
        return self._decoder.length

    def prefill(self, messages: Sequence[Message]) -> None:
        """Takes `messages` in, up to where a question of the visitor begins."""
        opening = self._prompt.opening_ids(messages)[: self._decoder.capacity]
        self._take_in(opening, lambda: False)

    def sentence_end(self, messages: Sequence[Message]) -> float | None:
        """How likely a sentence ends after the last word of the last message; see `Answerer`.

        The chance of the tokens that end a sentence or a message, punctuation of the message's own
        left out. None for a message without words, or one that is too long.
        """
        prompt = self._prompt.ids_to_last_word(messages)
        if not 0 < len(prompt) <= self._decoder.capacity:
            return None
        self._take_in(prompt[:-1], lambda: False, leave=PASS_TOKENS - 1)
        (logits,) = self._decoder.append(prompt[self._decoder.length :], rows=1)
        chances = np.exp(logits - logits.max())
        return float(chances[list(self._prompt.sentence_end_ids)].sum() / chances.sum())

    def answer(
        self,
        messages: Sequence[Message],
        *,
        sampling: Sampling,
        is_cancelled: Callable[[], bool],
    ) -> Iterator[str]:
        """Pieces of the answer, a token or more each; see `Answerer.answer`.

        Raises StageError where the question alone is longer than the context.
        """
        prompt = self._fitting(messages, sampling.max_tokens)
        expected = self._prompt.text_ids(expected_answer(messages))
        tokens = self._tokens(prompt, expected, sampling, is_cancelled)
        yield from answer_text(
            takewhile(lambda token: token not in self._prompt.end_ids, tokens),
            decode=self._prompt.decode,
            stop=self._stop,
            is_cancelled=is_cancelled,
        )

    def forget(self) -> None:
        """Wipes what is remembered of every conversation."""
        self._decoder.clear()

    def close(self) -> None:
        """Frees the model."""
        self._decoder.close()

    def _tokens(
        self,
        prompt: list[int],
        expected: list[int],
        sampling: Sampling,
        is_cancelled: Callable[[], bool],
    ) -> Iterator[int]:
        """The tokens of the answer; guessed ones come together, as soon as they are checked."""
        drafter = Drafter(prompt, expected)
        chooser = TokenChooser(sampling)
        answer: list[int] = []
        while len(answer) < sampling.max_tokens:
            longest = self._draft_tokens if answer else self._first_draft_tokens
            longest = min(longest, sampling.max_tokens - len(answer) - 1)
            draft = drafter.draft(answer, longest=longest)
            checked = self._next_tokens([*prompt, *answer], draft, chooser, is_cancelled)
            if not checked:
                return
            answer += checked
            yield from checked

    def _next_tokens(
        self,
        context: list[int],
        draft: list[int],
        chooser: TokenChooser,
        is_cancelled: Callable[[], bool],
    ) -> list[int]:
        """The token that comes after `context`, and more where it and `draft` agree; none if it
        was cancelled."""
        if not self._take_in(context[:-1], is_cancelled, leave=PASS_TOKENS - len(draft) - 1):
            return []
        given = [*context[self._decoder.length :], *draft]
        logits = self._decoder.append(given, rows=len(draft) + 1)
        tokens: list[int] = []
        for guess, row in zip([*draft, None], logits, strict=True):
            tokens.append(chooser.choose(row))
            if tokens[-1] != guess:
                break
        return tokens

    def _take_in(
        self, tokens: list[int], is_cancelled: Callable[[], bool], *, leave: int = 0
    ) -> bool:
        """Makes the cache hold `tokens`, or all but the last `leave` of them, and nothing else.

        Returns False if it was cancelled.
        """
        at = self._decoder.rewind(tokens)
        while len(tokens) - at > leave:
            if is_cancelled():
                return False
            part = tokens[at : min(at + PASS_TOKENS, len(tokens))]
            self._decoder.append(part, rows=0)
            at += len(part)
        return not is_cancelled()

    def _fitting(self, messages: Sequence[Message], answer_tokens: int) -> list[int]:
        """The prompt, without the oldest turns if it and an answer would not fit the context."""
        kept = list(messages)
        room = self._decoder.capacity - answer_tokens
        while len(ids := self._prompt.ids(kept)) > room:
            first = 1 if kept[0].role == "system" else 0
            later = [at for at in range(first + 1, len(kept)) if kept[at].role == "user"]
            if not later:
                raise StageError(
                    f"the system prompt and the question take {len(ids)} tokens and the answer up "
                    f"to {answer_tokens}; the context holds {self._decoder.capacity}: shorten the "
                    "persona's facts"
                )
            del kept[first : later[0]]
        return ids
