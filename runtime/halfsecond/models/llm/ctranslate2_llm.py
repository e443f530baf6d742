"""The local answerer: a chat model on CTranslate2, with its prompt taken in ahead of time."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import takewhile
from pathlib import Path
from typing import Any

from halfsecond.errors import ModelCorruptError, StageError
from halfsecond.models.llm.answerer import Message, Sampling
from halfsecond.models.llm.chat_prompt import ChatPrompt, require_files
from halfsecond.models.llm.detokenizer import answer_text

FILES = ("model.bin", "config.json", "vocabulary.json", "tokenizer.json", "chat.json")

# CTranslate2 keeps the state of every static prompt until the generator is deleted (measured:
# 3.2 GB after 200 prompts of 110 tokens). SmolLM2-135M takes 140 KB a token, so this is some
# 110 MB; more means fewer reloads (0.25 s of one core each), less means less memory.
PREFIX_CACHE_TOKENS = 768


class CTranslate2Answerer:
    """Answers with a model directory of CTranslate2, on this machine.

    `prefill` and `answer` are for one thread at a time. Their prompts are cached as CTranslate2's
    static prompts, at most `prefix_cache_tokens` tokens in all: beyond that the generator is
    opened anew in `prefill`, which is called while nobody waits.
    """

    def __init__(
        self,
        model_path: Path,
        *,
        device: str = "cpu",
        compute_type: str = "int8",
        threads: int = 1,
        prefix_cache_tokens: int = PREFIX_CACHE_TOKENS,
        stop: Sequence[str] = (),
    ) -> None:
        """Loads the model.

        `threads`: one gave 11 ms a token and two 33 ms on two virtual cores; 0 lets CTranslate2
        choose. `stop`: strings that end an answer and are not part of it, besides the end tokens
        of the model.

        Raises ModelMissingError or ModelCorruptError.
        """
        require_files(model_path, FILES)
        self._path = model_path
        self._device, self._compute_type, self._threads = device, compute_type, threads
        self._prompt = ChatPrompt(model_path)
        self._stop = tuple(stop)
        self._budget_tokens = prefix_cache_tokens
        self._prefixes: set[tuple[str, ...]] = set()
        self._generators: list[Any] = [self._open_generator()]
        # A generator that still lives when Python ends aborts the process (CTranslate2 4.8).
        weakref.finalize(self, self._generators.clear)

    @property
    def cached_tokens(self) -> int:
        """How many tokens of prompts the generator holds the state of."""
        return sum(len(prefix) for prefix in self._prefixes)

    def prefill(self, messages: Sequence[Message]) -> None:
        """Takes `messages` in, up to where a question of the visitor begins."""
        prefix = self._prompt.names(self._prompt.opening_ids(messages))
        if not prefix or prefix in self._prefixes or len(prefix) > self._budget_tokens:
            return
        if self.cached_tokens + len(prefix) > self._budget_tokens:
            self.forget()
        self._prefixes.add(prefix)
        # A static prompt needs a prompt after it: one token, whose answer is thrown away.
        for _ in self._generate(prefix, [prefix[-1]], Sampling(max_tokens=1), lambda: False):
            pass

    def sentence_end(self, messages: Sequence[Message]) -> None:
        """None: CTranslate2 would take the prompt in once more for it."""

    def answer(
        self,
        messages: Sequence[Message],
        *,
        sampling: Sampling,
        is_cancelled: Callable[[], bool],
    ) -> Iterator[str]:
        """Pieces of the answer, a token or more each; see `Answerer.answer`."""
        is_sampled = sampling.temperature > 0
        if is_sampled and sampling.seed is not None:
            self._reseed(sampling.seed)
        tokens = self._prompt.names(self._prompt.ids(messages))
        prefix = self._longest_prefix(tokens)
        steps = self._generate(prefix, list(tokens[len(prefix) :]), sampling, is_cancelled)
        with closing(steps):
            said = takewhile(lambda step: step.token not in self._prompt.end_tokens, steps)
            yield from answer_text(
                (step.token_id for step in said),
                decode=self._prompt.decode,
                stop=self._stop,
                is_cancelled=is_cancelled,
            )

    def forget(self) -> None:
        """Drops the state of every conversation that was prefilled, and its memory.

        CTranslate2 has no other way than to open the model again: 0.25 s of one core for
        SmolLM2-135M.
        """
        if self._prefixes:
            self._reopen()

    def close(self) -> None:
        """Frees the model."""
        self._generators.clear()
        self._prefixes.clear()

    def _generate(
        self,
        prefix: tuple[str, ...],
        prompt: list[str],
        sampling: Sampling,
        is_cancelled: Callable[[], bool],
    ) -> Any:
        if not self._generators:
            raise StageError("the answerer is closed; open a new one")
        is_greedy = sampling.temperature <= 0
        return self._generators[0].generate_tokens(
            prompt,
            max_length=sampling.max_tokens,
            sampling_topk=1 if is_greedy else 0,
            sampling_topp=1.0 if is_greedy else sampling.top_p,
            sampling_temperature=1.0 if is_greedy else sampling.temperature,
            repetition_penalty=sampling.repetition_penalty,
            end_token=list(self._prompt.end_tokens) or None,
            static_prompt=list(prefix) or None,
            cache_static_prompt=bool(prefix),
            callback=lambda _step: is_cancelled(),
        )

    def _reopen(self) -> None:
        self._prefixes.clear()
        self._generators.clear()  # first, so that two models are never held at once
        self._generators.append(self._open_generator())

    def _reseed(self, seed: int) -> None:
        """Makes the next random choices repeatable.

        CTranslate2's workers take the seed when they start, so the model is opened anew and what
        was prefilled is lost: this is for tests, not for service.
        """
        import ctranslate2

        ctranslate2.set_random_seed(seed)
        self._reopen()

    def _longest_prefix(self, tokens: tuple[str, ...]) -> tuple[str, ...]:
        fitting = (p for p in self._prefixes if len(p) < len(tokens) and tokens[: len(p)] == p)
        return max(fitting, key=len, default=())

    def _open_generator(self) -> Any:
        import ctranslate2

        try:
            return ctranslate2.Generator(
                str(self._path),
                device=self._device,
                compute_type=self._compute_type,
                inter_threads=1,
                intra_threads=self._threads,
            )
        except (RuntimeError, ValueError) as error:
            raise ModelCorruptError(
                f"{self._path} cannot be opened by CTranslate2 on {self._device} as "
                f"{self._compute_type}: {error}; run `halfsecond models verify`"
            ) from error
