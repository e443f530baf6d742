"""The measure that words are judged with."""

from __future__ import annotations

import pytest

from halfsecond_bench.wer import edit_distance, spoken_words, word_errors


@pytest.mark.parametrize(
    ("reference", "hypothesis", "errors"),
    [
        ("ten of clubs", "Ten of clubs.", 0),
        ("It costs 24 dollars", "it costs twenty-four dollars", 0),
        ("mister john dashwood", "Mr. John Dashwood", 0),
        ("don’t go", "don't go", 0),
        ("go forward ten meters", "go four ten meters", 1),
        ("one two three", "", 3),
        ("", "thank you", 2),
        ("a b c", "a x b c", 1),
    ],
)
def test_errors_are_counted_on_words_as_they_are_said(
    reference: str, hypothesis: str, errors: int
) -> None:
    assert word_errors([(reference, hypothesis)]).errors == errors


def test_the_rate_is_over_all_words_not_the_mean_of_rates() -> None:
    pairs = [("one", "two"), ("a b c d e f g h i", "a b c d e f g h i")]
    assert word_errors(pairs).rate == pytest.approx(1 / 10)


def test_large_numbers_are_spelled_out() -> None:
    assert spoken_words("384,000 kilometers") == [
        *("three", "hundred", "and", "eighty", "four", "thousand", "kilometers")
    ]


def test_the_distance_is_the_least_number_of_edits() -> None:
    assert edit_distance("kitten", "sitting") == 3
