"""How much silence ends a turn."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfsecond.errors import ConfigError
from halfsecond.models.turn.endpoint import (
    EndpointConfig,
    Evidence,
    end_probability,
    required_silence_s,
)
from halfsecond.models.turn.text_cues import reading

CONFIG = EndpointConfig(complete_silence_s=0.2, unsure_silence_s=0.45, incomplete_silence_s=1.2)
PROBABILITY = st.floats(0, 1)
SOMETHING = st.none() | PROBABILITY


def silence(**known: object) -> float:
    return required_silence_s(Evidence(**known), CONFIG)  # type: ignore[arg-type]


def test_a_question_that_sounds_and_reads_complete_is_answered_early() -> None:
    assert silence(completeness=0.98, text="Where is the café?", sentence_end=0.6) == 0.2


def test_one_that_breaks_off_waits_the_longest() -> None:
    assert silence(completeness=0.1, text="Where is the...", sentence_end=0.001) == 1.2


def test_signs_that_disagree_wait_in_between() -> None:
    assert silence(completeness=0.98, text="I'm looking for", sentence_end=0.1) == 0.45


def test_before_anything_is_known_it_waits_in_between() -> None:
    assert silence() == 0.45


def test_plain_silence_heeds_no_sign() -> None:
    plain = EndpointConfig(mode="silence", silence_s=0.7)
    for known in (Evidence(), Evidence(1.0, "Yes.", 1.0), Evidence(0.0, "and the", 0.0)):
        assert required_silence_s(known, plain) == 0.7


@given(PROBABILITY, PROBABILITY, SOMETHING)
def test_a_turn_that_sounds_more_complete_never_waits_longer(
    one: float, other: float, sentence_end: float | None
) -> None:
    low, high = sorted((one, other))
    assert silence(completeness=high, sentence_end=sentence_end) <= silence(
        completeness=low, sentence_end=sentence_end
    )


@given(SOMETHING, st.none() | st.text(), SOMETHING)
def test_no_evidence_waits_beyond_the_cap_or_below_the_floor(
    completeness: float | None, text: str | None, sentence_end: float | None
) -> None:
    evidence = Evidence(completeness, text, sentence_end)
    assert 0 < end_probability(evidence) < 1
    assert 0.2 <= required_silence_s(evidence, CONFIG) <= 1.2


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"complete_silence_s": 0.5}, "complete <= unsure"),
        ({"incomplete_silence_s": 0.3}, "unsure <= incomplete"),
        ({"incomplete_below": 0.9}, "incomplete_below <= complete_above"),
        ({"silence_s": 0.0}, "more than 0"),
    ],
)
def test_silences_that_contradict_each_other_are_refused(
    fault: dict[str, float], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        EndpointConfig(**fault)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "Where is the",
        "I'm looking for...",
        "Do you have any?",
        "Two adults,",
        "um",
        "My name is",
        "If I come on Sunday.",
        "When we finish the tour",
        "I want to go to",
        "I think I left my",
    ],
)
def test_words_that_want_more_are_open(text: str) -> None:
    assert reading(text) == "open"


@pytest.mark.parametrize(
    "text",
    [
        "Where is the café?",
        "What are you looking for?",
        "Which floor is the library on?",
        "Yes, I do.",
        "When do you open?",
        "If I come on Sunday, is it open?",
        "Can you tell me where it is?",
        "What is this?",
    ],
)
def test_a_whole_question_is_closed_even_if_a_small_word_ends_it(text: str) -> None:
    assert reading(text) == "closed"


def test_words_without_punctuation_tell_nothing() -> None:
    assert reading("two tickets") == "unknown"


def test_without_words_nothing_was_asked_so_far() -> None:
    for text in ("", "   "):
        assert reading(text) == "open"


def test_another_language_is_read_by_its_punctuation_alone() -> None:
    assert reading("Ich suche die", language="de") == "unknown"
    assert reading("Je cherche le the", language="fr") == "unknown"
    assert reading("请问洗手间在哪里？", language="zh") == "closed"
    assert reading("我想买，", language="zh") == "open"
