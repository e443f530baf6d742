"""What keeps invented words out, on what Whisper was seen to write."""

from __future__ import annotations

import pytest

from halfsecond.models.asr.guards import Attempt, compression_ratio, judge, token_cap
from halfsecond.models.asr.whisper import needed_context_s


def attempt(
    text: str, *, nothing: float = 0.05, likely: float = -0.2, ran_on: bool = False
) -> Attempt:
    return Attempt(
        text=text,
        language="en",
        no_speech_probability=nothing,
        average_log_probability=likely,
        context_s=4.0,
        ran_on=ran_on,
    )


def test_plain_words_pass() -> None:
    heard = judge(attempt("When does the museum close today?"))
    assert heard.text == "When does the museum close today?"
    assert heard.rejected == ""


@pytest.mark.parametrize(
    "seen",
    [
        attempt("you", nothing=0.9, likely=-0.6),
        attempt("I'm going to put the water in the water.", nothing=0.86, likely=-0.5),
        attempt("Thank you.", nothing=0.5, likely=-0.3),
        attempt("以下是普通话的句子。", nothing=0.5, likely=-0.1),
        attempt("1.5%", nothing=0.66, likely=-1.9),
        attempt(" ...", nothing=0.1, likely=-0.4),
        attempt("", nothing=0.2, likely=-0.4),
    ],
)
def test_words_invented_in_silence_are_taken_out(seen: Attempt) -> None:
    heard = judge(seen)
    assert (heard.text, heard.rejected) == ("", "silence")


@pytest.mark.parametrize(
    "seen",
    [
        attempt("Thank you.", nothing=0.1),
        attempt("How far away is the moon?", nothing=0.61, likely=-0.12),
        attempt("mumbled words", nothing=0.3, likely=-1.4),
    ],
)
def test_real_words_that_look_a_little_invented_pass(seen: Attempt) -> None:
    assert judge(seen).text == seen.text


@pytest.mark.parametrize(
    "seen",
    [
        attempt("10 of clubs " * 12),
        attempt("he was not an old-s" + "-y" * 40),
        attempt("a sentence cut off by the cap", ran_on=True),
    ],
)
def test_repetitions_are_taken_out(seen: Attempt) -> None:
    heard = judge(seen)
    assert (heard.text, heard.rejected) == ("", "repetition")


def test_a_sentence_that_repeats_a_word_is_no_repetition() -> None:
    assert judge(attempt("Five, five, five.")).text == "Five, five, five."
    assert compression_ratio("Where is it? No, where is it really, where is it?") < 2.4


def test_the_cap_leaves_room_for_fast_speech_and_no_more_than_whisper_has() -> None:
    assert token_cap(16_000) == 28
    assert token_cap(5 * 16_000) >= 5 * 10
    assert token_cap(30 * 16_000) == 224


@pytest.mark.parametrize(
    ("seconds", "context_s"), [(0.5, 1.5), (2.0, 3.0), (2.1, 3.5), (28.9, 30.0), (30.0, 30.0)]
)
def test_the_context_is_the_length_and_a_second_in_half_seconds(
    seconds: float, context_s: float
) -> None:
    assert needed_context_s(round(seconds * 16_000), margin_s=1.0) == context_s
