"""Guessing what an answerer will say next."""

from __future__ import annotations

import pytest

from halfsecond.models.llm.answerer import Message
from halfsecond.models.llm.drafting import Drafter, expected_answer
from halfsecond.models.llm.facts import FactsPage
from halfsecond.models.llm.persona import UNKNOWN_ANSWER, Persona, build_messages

FACT = "The museum closes at five."


def talk(*contents: str) -> list[Message]:
    """A conversation that begins with the user."""
    roles = ("user", "assistant")
    return [Message(roles[at % 2], content) for at, content in enumerate(contents)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("question", "answer"),
    [("When does the museum close?", FACT), ("Who built the pyramids?", UNKNOWN_ANSWER)],
)
def test_the_fact_beside_a_question_is_expected(question: str, answer: str) -> None:
    persona = Persona(facts=FactsPage.parse(FACT), layout="lines")
    assert expected_answer(build_messages(persona, [], question)) == answer


def test_a_page_of_facts_raises_no_expectation() -> None:
    history = talk("Hello", "Good morning.")
    persona = Persona(facts=FactsPage.parse(FACT), layout="page")
    assert expected_answer(build_messages(persona, history, "When do you close?")) == ""


@pytest.mark.parametrize(
    "messages",
    [
        [],
        talk("Say 'a'"),
        talk("Say: a", "b", "Say: c"),  # the answer was not in its question
        talk("a", "a", "c"),  # nothing stood before it
        talk("Say: a", "a", "Tell: c"),  # nor does this question have what stood there
        talk("Say: a!", "a", "Say: c"),  # or what stood behind
        talk("Say: a", "", "Say: c"),
        talk("Say: a", "a"),
    ],
)
def test_what_gives_no_hint_raises_no_expectation(messages: list[Message]) -> None:
    assert expected_answer(messages) == ""


def test_the_last_answer_counts_and_the_last_place_in_the_question() -> None:
    messages = talk("Say: a", "a", 'say "b" now', "b", 'say "c" now and say "d" now')
    assert expected_answer(messages) == "d"


def test_what_is_expected_is_guessed_until_it_proves_wrong() -> None:
    drafter = Drafter([1, 2, 3], expected=[7, 8, 9])
    assert drafter.draft([], longest=2) == [7, 8]
    assert drafter.draft([7], longest=5) == [8, 9]
    assert drafter.draft([7, 8, 9], longest=5) == []
    assert drafter.draft([7, 5], longest=5) == []


def test_what_followed_the_same_tokens_is_guessed() -> None:
    drafter = Drafter([1, 2, 3, 4, 5, 9, 2, 3, 6], expected=[])
    assert drafter.draft([2, 3], longest=3) == [6, 2, 3]  # the latest of two places
    assert drafter.draft([1, 2, 3], longest=2) == [4, 5]  # the longer match
    assert drafter.draft([3], longest=3) == []  # 6, 3 never stood before
    assert drafter.draft([8, 7, 8, 7], longest=3) == [8, 7]  # the answer's own words


def test_no_more_is_guessed_than_was_asked_for() -> None:
    drafter = Drafter([1, 2, 1, 2], expected=[5, 6])
    assert drafter.draft([], longest=0) == []
    assert drafter.draft([], longest=-1) == []
    assert drafter.draft([9, 1, 2], longest=1) == [9]
