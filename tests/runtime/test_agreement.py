"""Which words of a growing utterance are settled, on hypotheses that are made up."""

from __future__ import annotations

import numpy as np
import pytest

from halfsecond.models.asr.agreement import Agreement
from halfsecond.models.asr.growing import OVERLAP_WORDS, SETTLE_S, GrowingTranscript
from halfsecond.models.asr.recognizer import Transcript, Word
from halfsecond.models.asr.seam import seam_before
from halfsecond.models.asr.words import same_words, split_words

RATE_HZ = 16_000


def committed(*hypotheses: str) -> str:
    """What is committed after each hypothesis of what follows the committed words."""
    agreement = Agreement()
    for hypothesis in hypotheses:
        agreement.add(split_words(hypothesis))
        agreement.commit()
    return "".join(agreement.committed)


def test_one_hypothesis_commits_nothing() -> None:
    assert committed("When does the museum") == ""


def test_words_on_which_two_in_a_row_agree_are_committed() -> None:
    assert committed("When does the music", "When does the museum close") == "When does the"
    assert committed("When does the", "When does the museum", " museum close") == (
        "When does the museum"
    )


def test_case_and_punctuation_do_not_matter_and_the_later_writing_is_taken() -> None:
    assert committed("when does it close.", "When does it close, and where") == (
        "When does it close,"
    )


def test_a_hypothesis_that_retracts_commits_nothing_until_two_agree_again() -> None:
    assert committed("I came by car", "We came by bus") == ""
    assert committed("I came by car", "We came by bus", "We came by train") == "We came by"


def test_agreement_with_the_hypothesis_before_the_last_does_not_count() -> None:
    agreement = Agreement()
    for hypothesis in ("one two", "three four", "one two"):
        agreement.add(split_words(hypothesis))
    assert agreement.commit() == 0


def test_a_repeated_word_is_committed_as_often_as_it_was_said() -> None:
    assert committed("five five", "five five five", " five, no six") == "five five five,"


def test_an_empty_hypothesis_commits_nothing_and_retracts_nothing() -> None:
    agreement = Agreement()
    for hypothesis in ("Where is", "Where is the café", ""):
        agreement.add(split_words(hypothesis))
        agreement.commit()
    assert "".join(agreement.committed) == "Where is"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("When does it close?", ["When", " does", " it", " close?"]),
        (" and, well", [" and,", " well"]),
        ("请问，几点关门？", ["请", "问，", "几", "点", "关", "门？"]),
        ("在Wi-Fi里", ["在", "Wi-Fi", "里"]),
    ],
)
def test_words_keep_the_punctuation_after_and_the_space_before(text: str, words: list[str]) -> None:
    assert split_words(text) == words
    assert "".join(words) == text


def test_transcripts_are_the_same_whatever_their_case_punctuation_and_spaces() -> None:
    assert same_words("When do you close?", "when do you close")
    assert same_words("请问 几点关门", "请问，几点关门？")
    assert not same_words("When do you close?", "When do you close it?")


def heard(text: str, *, known: str = "") -> Transcript:
    """A transcript of words that were said one every half second, after known ones."""
    words = split_words(known + text)
    times = tuple(Word(word, 0.5 * number) for number, word in enumerate(words))
    return Transcript(text, "en", 0.1, -0.2, 8.0, words=times)


def hear(growing: GrowingTranscript, text: str) -> None:
    """Tells it, in a long window, all that was said so far."""
    window = growing.window
    rest = text.removeprefix(growing.settled)
    growing.add(LONG, heard(rest, known=window.begins_with))


def talk(words: int) -> str:
    """The first words of a long speech."""
    return " ".join(f"word{number}" for number in range(words))


LONG = np.zeros(int(SETTLE_S * RATE_HZ), np.float32)


def test_a_short_window_is_left_whole() -> None:
    growing = GrowingTranscript()
    short = LONG[: -RATE_HZ // 10]
    for _ in range(3):
        growing.add(short, heard(talk(7)))
    assert growing.settled == ""
    assert growing.window.first_sample == 0


def test_a_long_window_keeps_the_audio_of_the_last_settled_words() -> None:
    growing = GrowingTranscript()
    hear(growing, talk(10))
    hear(growing, talk(12))
    assert growing.settled == talk(10)
    window = growing.window
    assert window.begins_with.split() == talk(10).split()[-OVERLAP_WORDS:]
    assert window.prompt + window.begins_with == talk(10)
    assert window.first_sample / RATE_HZ == pytest.approx(0.5 * (10 - OVERLAP_WORDS), abs=0.2)


def test_cuts_add_up_and_what_follows_is_written_once() -> None:
    growing = GrowingTranscript()
    for words in (10, 12, 15, 16):
        hear(growing, talk(words))
    assert growing.settled == talk(15)
    assert growing.window.first_sample / RATE_HZ == pytest.approx(
        0.5 * (15 - OVERLAP_WORDS), abs=0.6
    )
    tail = heard(" word15, word16.")
    assert growing.window.whole(tail).text == f"{talk(15)} word15, word16."


def test_a_window_of_few_settled_words_is_not_cut() -> None:
    growing = GrowingTranscript()
    hear(growing, talk(OVERLAP_WORDS))
    hear(growing, talk(OVERLAP_WORDS))
    assert growing.settled == talk(OVERLAP_WORDS)
    assert growing.window.first_sample == 0


def test_punctuation_that_comes_late_stays_with_its_word() -> None:
    growing = GrowingTranscript()
    for text in ("a b c d e f g", "a b c d e f g", "a b c d e f g, h", "a b c d e f g, h i j"):
        hear(growing, text)
    assert growing.settled == "a b c d e f g, h"
    assert growing.window.begins_with == " e f g, h"


def test_a_rejected_hypothesis_settles_nothing_and_is_forgotten() -> None:
    growing = GrowingTranscript()
    nothing = Transcript("", "en", 0.9, -0.2, 8.0, rejected="silence")
    growing.add(LONG, heard("one two three four five six"))
    growing.add(LONG, nothing)
    assert growing.settled == ""
    growing.add(LONG, heard("one two three four five six seven"))
    assert growing.settled == "one two three four five six"


def test_a_silent_tail_leaves_the_settled_words() -> None:
    growing = GrowingTranscript()
    for _ in range(2):
        growing.add(LONG, heard("one two three four five six"))
    whole = growing.window.whole(Transcript("", "en", 0.9, -0.2, 3.0, rejected="silence"))
    assert (whole.text, whole.rejected) == ("one two three four five six", "")
    empty = GrowingTranscript().window.whole(Transcript("", "", 1.0, 0, 0, rejected="silence"))
    assert (empty.text, empty.rejected) == ("", "silence")


def test_the_seam_lies_in_the_pause_near_the_word() -> None:
    rng = np.random.default_rng(0)
    speech = rng.normal(0, 0.1, 2 * RATE_HZ).astype(np.float32)
    speech[int(0.95 * RATE_HZ) : int(1.1 * RATE_HZ)] *= 0.001
    seam = seam_before(speech, Word(" next", 1.12))
    assert 0.97 <= seam / RATE_HZ <= 1.08


@pytest.mark.parametrize("start_s", [0.0, 0.02, 1.99, 2.5])
def test_a_seam_at_the_edge_stays_in_the_audio(start_s: float) -> None:
    speech = np.random.default_rng(0).normal(0, 0.1, 2 * RATE_HZ).astype(np.float32)
    assert 0 <= seam_before(speech, Word(" edge", start_s)) <= len(speech)
