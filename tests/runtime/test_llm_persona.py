"""Which facts a question gets, and how they are put to the answerer."""

from __future__ import annotations

import pytest

from halfsecond.models.llm.answerer import Message
from halfsecond.models.llm.facts import FactsPage
from halfsecond.models.llm.persona import Persona, build_messages, choose_lines, opening, recent

PAGE = """
# The building
The museum is open every day except Monday, from nine to six.
On Fridays the museum stays open until nine in the evening.
The restrooms are on the ground floor, behind the café. [where can I wash my hands]
The café is left of the entrance and serves lunch until three.
Tickets cost twelve dollars for adults and six dollars for children.
The Wi-Fi is called Aldrin Guest. [network]
My name is Nova.
Guests park behind the building.
! The lift is out of order today.
博物馆每天上午九点开门，下午五点关门。
洗手间在一楼，咖啡馆后面。
"""
FACTS = FactsPage.parse(PAGE)
LINES = Persona(facts=FACTS, layout="lines")
HISTORY = [
    Message("user", "Where are the restrooms?"),
    Message("assistant", "Behind the café."),
    Message("user", "When do you open?"),
    Message("assistant", "At nine."),
]


def first(question: str, history: list[Message] | None = None) -> str:
    return next(iter(choose_lines(LINES, history or [], question)), "")


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("When do you open?", "every day except Monday"),
        ("What are your opening hours?", "every day except Monday"),
        ("until what time are you open on friday", "On Fridays"),
        ("Where is the toilet?", "restrooms"),
        ("where are the rest rooms", "restrooms"),
        ("Where can I wash my hands?", "restrooms"),
        ("Is there a cafe?", "café is left"),
        ("Where can I eat something?", "café is left"),
        ("How much does a child pay?", "six dollars"),
        ("what's the name of the wifi", "Aldrin Guest"),
        ("how do I get on the wi fi", "Aldrin Guest"),
        ("What is your name?", "Nova"),
        ("who are you", "Nova"),
        ("At what hour do you close on Friday?", "On Fridays"),
        ("Where can I park my car?", "park behind"),
        ("请问博物馆几点关门？", "五点关门"),
        ("洗手间在哪里？", "一楼"),
    ],
)
def test_a_question_finds_its_line_in_the_visitors_own_words(question: str, words: str) -> None:
    assert words in first(question)


@pytest.mark.parametrize(
    "question",
    [
        "Who built the museum?",
        "How old is the director?",
        "What is the capital of France?",
        "Where is the nearest bank?",
        "你喜欢音乐吗？",
        "",
        "and where is it?",
    ],
)
def test_a_question_that_the_page_does_not_answer_finds_none(question: str) -> None:
    assert first(question) == ""


def test_a_question_without_a_meaning_of_its_own_is_about_the_one_before() -> None:
    assert "restrooms" in first("And where is that?", HISTORY[:2])
    assert first("Who painted it?", HISTORY[:2]) == ""


def test_brackets_are_for_the_search_and_are_never_spoken() -> None:
    assert first("Is there a network?") == "The Wi-Fi is called Aldrin Guest."


def test_a_line_that_is_always_told_stands_in_the_system_prompt_of_both_layouts() -> None:
    long_page = Persona(facts=FACTS, layout="page", page_words=5)
    for persona in (LINES, long_page):
        assert "The lift is out of order today." in opening(persona, [])[0].content
        assert "Monday" not in opening(persona, [])[0].content


def test_every_question_begins_with_what_was_prefilled() -> None:
    for layout in ("page", "lines"):
        persona = Persona(facts=FACTS, layout=layout)
        start = opening(persona, HISTORY)
        for question in ("Where is the café?", "Who built it?"):
            assert build_messages(persona, HISTORY, question)[:-1] == start


def test_a_short_page_is_prefilled_whole_and_the_question_stands_alone() -> None:
    messages = build_messages(Persona(facts=FACTS), HISTORY, "Where is the café?")
    assert "serves lunch until three" in messages[0].content
    assert "[where" not in messages[0].content
    assert "say: \"I'm sorry, I don't know that.\"" in messages[0].content
    assert messages[1:] == [*HISTORY, Message("user", "Where is the café?")]


def test_of_a_long_page_the_lines_stand_beside_the_question() -> None:
    persona = Persona(facts=FACTS, page_words=5, lines=2)
    question = build_messages(persona, [], "When do you open?")[-1].content
    assert question.startswith("When do you open?")
    assert "every day except Monday" in question
    assert "On Fridays" in question
    assert build_messages(persona, [], "Who built it?")[-1].content == "Who built it?"


def test_lines_for_a_small_model_leave_history_out_and_say_what_is_unknown() -> None:
    known = build_messages(LINES, HISTORY, "Where is the café?")
    unknown = build_messages(LINES, HISTORY, "Who built it?")
    assert not any(message in HISTORY for message in known)
    assert "serves lunch until three" in known[-1].content
    assert LINES.unknown_answer in unknown[-1].content


def test_a_persona_without_facts_is_just_its_system_prompt_and_the_talk() -> None:
    persona = Persona(system="You are a pirate.")
    assert build_messages(persona, HISTORY[:2], "Ahoy?") == [
        Message("system", "You are a pirate."),
        *HISTORY[:2],
        Message("user", "Ahoy?"),
    ]


def test_history_is_cut_at_a_question() -> None:
    assert recent(HISTORY, 1) == HISTORY[2:]
    assert recent(HISTORY, 9) == HISTORY
    assert recent(HISTORY, 0) == []
    assert recent(HISTORY[1:], 2) == HISTORY[2:]
