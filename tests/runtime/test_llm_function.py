"""The integrator's function as an answerer, and the registry."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from halfsecond.errors import ConfigError, StageError
from halfsecond.models.llm.answerer import Message, Sampling
from halfsecond.models.llm.function import FunctionAnswerer
from halfsecond.models.llm.registry import open_answerer

TALK = [
    Message("system", "Facts."),
    Message("user", "Hello"),
    Message("assistant", "Hi"),
    Message("user", "Where?"),
]


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    made = ModuleType("my_guide")
    monkeypatch.setitem(sys.modules, "my_guide", made)
    return made


def ask(name: str) -> list[str]:
    answerer = FunctionAnswerer(name)
    return list(answerer.answer(TALK, sampling=Sampling(), is_cancelled=lambda: False))


def test_a_function_gets_the_question_and_what_was_said_before(module: ModuleType) -> None:
    def answer(question: str, history: list[dict[str, str]]) -> str:
        return f"{question} {[turn['content'] for turn in history]}"

    module.answer = answer  # type: ignore[attr-defined]
    assert ask("my_guide:answer") == ["Where? ['Hello', 'Hi']"]


def test_a_function_that_takes_messages_gets_all_of_them(module: ModuleType) -> None:
    def answer(messages: list[dict[str, str]]) -> Iterator[str]:
        yield from (message["role"] for message in messages)

    module.answer = answer  # type: ignore[attr-defined]
    assert ask("my_guide:answer") == ["system", "user", "assistant", "user"]


def test_a_method_of_an_object_can_be_named(module: ModuleType) -> None:
    class Guide:
        def answer(self, question: str, history: Any) -> list[str]:
            return ["a", "", "b"]

    module.guide = Guide()  # type: ignore[attr-defined]
    assert ask("my_guide:guide.answer") == ["a", "b"]


def test_an_error_in_the_function_carries_its_name(module: ModuleType) -> None:
    def answer(question: str, history: Any) -> Iterator[str]:
        yield "One"
        raise KeyError("room")

    module.answer = answer  # type: ignore[attr-defined]
    pieces = FunctionAnswerer("my_guide:answer").answer(
        TALK, sampling=Sampling(), is_cancelled=lambda: False
    )
    assert next(pieces) == "One"
    with pytest.raises(StageError, match="my_guide:answer raised KeyError: 'room'"):
        next(pieces)


@pytest.mark.parametrize(
    ("answer", "found"), [(7, "returned int"), ([1], "piece of type int"), (None, "NoneType")]
)
def test_what_is_no_text_is_refused(module: ModuleType, answer: Any, found: str) -> None:
    module.answer = lambda question, history: answer  # type: ignore[attr-defined]
    with pytest.raises(StageError, match=f"my_guide:answer.*{found}"):
        ask("my_guide:answer")


def test_a_dropped_answer_closes_the_generator(module: ModuleType) -> None:
    given: list[str] = []

    def answer(question: str, history: Any) -> Iterator[str]:
        try:
            for word in ("one", "two", "three"):
                given.append(word)
                yield word
        finally:
            given.append("closed")

    module.answer = answer  # type: ignore[attr-defined]
    pieces = FunctionAnswerer("my_guide:answer").answer(
        TALK, sampling=Sampling(), is_cancelled=lambda: len(given) >= 2
    )
    assert list(pieces) == ["one", "two"]
    assert given == ["one", "two", "closed"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("my_guide", "module:callable"),
        ("my_guide:", "module:callable"),
        ("my_guide:nothing", "no callable nothing"),
        ("no_such_module_here:answer", "ModuleNotFoundError"),
    ],
)
def test_a_function_that_cannot_be_found_is_a_config_error(
    module: ModuleType, name: str, found: str
) -> None:
    with pytest.raises(ConfigError, match=found):
        FunctionAnswerer(name)


def test_the_registry_opens_each_kind_and_names_what_is_missing(module: ModuleType) -> None:
    module.answer = lambda question, history: "yes"  # type: ignore[attr-defined]
    assert isinstance(open_answerer("function", function="my_guide:answer"), FunctionAnswerer)
    for kind, key in (("local", "llm.model"), ("openai", "llm.base_url"), ("function", "llm.fun")):
        with pytest.raises(ConfigError, match=f"{key}.*not set"):
            open_answerer(kind)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="local, openai or function"):
        open_answerer("cloud")  # type: ignore[arg-type]
