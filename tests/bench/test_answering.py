"""Figures of answerers that are made up."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

from halfsecond.config import Config, LlmConfig
from halfsecond.models.llm.answerer import Message
from halfsecond.store import Store
from halfsecond_bench import answering
from halfsecond_bench.clips import Clip


class PassesOfThree:
    """Takes 30 ms for three words at a time, or 15 ms for one on the reference."""

    def __init__(self, model_path: Path) -> None:
        self.is_reference = model_path.name == answering.REFERENCE
        self.prefilled = 0

    def prefill(self, messages: Sequence[Message]) -> None:
        self.prefilled += 1

    def answer(self, messages: Sequence[Message], **_: Any) -> Iterator[str]:
        words = ["The ", "museum ", "closes ", "at ", "five ", "or ", "six ", "today ", "maybe."]
        if self.is_reference:
            words[4] = "nine "
        for at, word in enumerate(words):
            if self.is_reference or at % 3 == 0:
                time.sleep(0.015 if self.is_reference else 0.03)
            yield word

    def close(self) -> None:
        pass


def clip(file: str, transcript: str) -> Clip:
    return Clip(
        file=file, transcript=transcript, language="en", kind="synthetic", origin="", licence="",
        answer_contains=["five"],
    )  # fmt: skip


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[answering.AnswererFigures]]:
    def measure(reference_state: str) -> list[answering.AnswererFigures]:
        monkeypatch.setattr(
            answering, "open_answerer", lambda kind, model_path, threads: PassesOfThree(model_path)
        )
        monkeypatch.setattr(answering, "memory_mb", lambda path, messages, threads: 7.0)
        store = SimpleNamespace(
            path=lambda name: Path(name), condition=lambda _: SimpleNamespace(state=reference_state)
        )
        clips = [clip("a.flac", "When do you close?"), clip("b.flac", "Where is the shop?")]
        return answering.measure_answerers(Config(), cast(Store, store), clips, rounds=2)

    return measure


def test_passes_are_told_apart_and_all_sides_are_measured_alike(
    measured: Callable[[str], list[answering.AnswererFigures]],
) -> None:
    one, two, reference = measured("fetched")
    assert [(f.model, f.threads) for f in (one, two, reference)] == [
        (Config().llm.model, 1),
        (Config().llm.model, 2),
        (answering.REFERENCE, 1),
    ]
    assert (one.tokens_a_pass, reference.tokens_a_pass) == (3.0, 1.0)
    for figures in (one, reference):
        assert figures.first_token_ms.n == figures.answer_ms.n == 4  # the first round warms up
        assert figures.first_token_ms.p50 < figures.first_clause_ms.p50 <= figures.answer_ms.p50
    assert 28 < one.first_token_ms.p50 < 60
    assert (one.true_answers, reference.true_answers, one.n_questions) == (2, 0, 2)
    output = io.StringIO()
    answering.print_answerers([one, reference], Console(file=output, width=200))
    assert "2 of 2" in output.getvalue()
    assert "0 of 2" in output.getvalue()


def test_a_reference_that_is_not_there_is_left_out(
    measured: Callable[[str], list[answering.AnswererFigures]],
) -> None:
    assert [f.model for f in measured("missing")] == [Config().llm.model] * 2


def test_answerers_elsewhere_are_not_measured() -> None:
    config = Config(llm=LlmConfig(kind="openai", base_url="http://127.0.0.1:1"))
    assert answering.measure_answerers(config, cast(Store, None), [], rounds=2) == []
