from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from halfsecond.models.llm.clauses import ClauseCutter, count_words


def cut(text: str, *pieces: str) -> list[str]:
    cutter = ClauseCutter()
    clauses: list[str] = []
    for piece in pieces or (text,):
        clauses += cutter.push(piece)
    return [clause.strip() for clause in clauses + cutter.flush()]


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("Sure, I can help with that.", ["Sure,", "I can help with that."]),
        ("It is open. Come in! Why not?", ["It is open.", "Come in!", "Why not?"]),
        ("It costs $3.50. Really.", ["It costs $3.50.", "Really."]),
        ("We have 1,250 ships, I think.", ["We have 1,250 ships,", "I think."]),
        ("Dr. Smith is in. Go on.", ["Dr. Smith is in.", "Go on."]),
        ("J. K. Rowling wrote it. Yes.", ["J. K. Rowling wrote it.", "Yes."]),
        ("So do I. Then we agree.", ["So do I.", "Then we agree."]),
        ("Ships, e.g. boats. Yes.", ["Ships,", "e.g. boats.", "Yes."]),
        ("The U.S. army came. Yes.", ["The U.S. army came.", "Yes."]),
        ("We open at 7:30 today. Yes.", ["We open at 7:30 today.", "Yes."]),
        ("It shuts at 6 p.m. Then we go.", ["It shuts at 6 p.m.", "Then we go."]),
        ("It shuts at 6 p.m. on Mondays.", ["It shuts at 6 p.m. on Mondays."]),
        ("The answer is no. Sorry.", ["The answer is no.", "Sorry."]),
        ("Take bus No. 5 home. Bye.", ["Take bus No. 5 home.", "Bye."]),
        ("Well... I think so.", ["Well...", "I think so."]),
        ("It was... odd. Yes.", ["It was... odd.", "Yes."]),
        ("Really?! Yes!!! Good.", ["Really?!", "Yes!!!", "Good."]),
        ('He said "Stop." Then he left.', ['He said "Stop."', "Then he left."]),
        ("(It is open.) Come in.", ["(It is open.)", "Come in."]),
        ("**Yes.** Come in.", ["**Yes.**", "Come in."]),
        ("Go to example.com, please.", ["Go to example.com,", "please."]),
        ("See https://a.org/b,c?d=1. Bye.", ["See https://a.org/b,c?d=1.", "Bye."]),
        ("Mail info@a.org. Bye.", ["Mail info@a.org.", "Bye."]),
        ("1. Open it.\n2. Go in.\n- Sit", ["1. Open it.", "2. Go in.", "- Sit"]),
        ("Wait — is it true?", ["Wait —", "is it true?"]),
        ("A well-known ship.", ["A well-known ship."]),
        ("Open 9–17 today.", ["Open 9–17 today."]),
        ("当然可以，九点半开门。门票是3.5元！", ["当然可以，", "九点半开门。", "门票是3.5元！"]),
        ("他说：“请进。”然后走了。", ["他说：", "“请进。”", "然后走了。"]),
    ],
)
def test_clauses_end_where_a_speaker_would_pause(text: str, clauses: list[str]) -> None:
    assert cut(text) == clauses


def test_the_first_comma_is_enough_for_the_first_clause() -> None:
    cutter = ClauseCutter()
    assert cutter.push("Sure") == []
    assert cutter.push(",") == ["Sure,"]
    assert cutter.push(" I can help with that, and more") == []


def test_a_number_is_waited_for() -> None:
    cutter = ClauseCutter()
    assert cutter.push("It is 1,") == []
    assert cutter.push("250.") == []
    assert cutter.push(" Fine") == ["It is 1,250."]


def test_a_short_beginning_waits_for_a_slow_voice() -> None:
    cutter = ClauseCutter(first_min_words=3)
    assert cutter.push("Sure, yes. I can help, really.") == ["Sure, yes. I can help,"]


def test_a_beginning_without_punctuation_is_cut_before_a_preposition() -> None:
    text = "The great museum opens at nine every day of the week"
    assert cut(text)[0] == "The great museum opens"


def test_a_beginning_without_punctuation_is_cut_after_some_words() -> None:
    assert cut("Large wooden ships carried heavy goods home")[0] == (
        "Large wooden ships carried heavy goods"
    )


@pytest.mark.parametrize(
    "text",
    [
        "One two three four five New York City",
        "One two three four paid 20 dollars",
        "One two three four five the house",
        "One two three four five Dr. Smith",
    ],
)
def test_names_and_numbers_are_never_torn(text: str) -> None:
    joined = "|".join(cut(text))
    for whole in ("New York City", "20 dollars", "the house", "Dr. Smith"):
        assert whole not in text or whole in joined


def test_later_sentences_are_whole_and_long_ones_are_cut_at_commas() -> None:
    short = "Yes. It is near the old harbour, as you know."
    assert cut(short) == ["Yes.", "It is near the old harbour, as you know."]
    long = (
        "Yes. It is near the old harbour of the city, where the large ships used to land, "
        "and it is open every day."
    )
    assert cut(long)[1:] == [
        "It is near the old harbour of the city,",
        "where the large ships used to land, and it is open every day.",
    ]


def test_words_are_counted_in_both_scripts() -> None:
    assert count_words("Dr. Smith's 1,250 well-known ships...") == 5
    assert count_words("博物馆九点开门。") == 3.5


def test_a_flush_begins_a_new_answer() -> None:
    cutter = ClauseCutter()
    cutter.push("Yes. It is")
    assert cutter.flush() == [" It is"]
    assert cutter.flush() == []
    assert cutter.push("Sure, I") == ["Sure,"]


WORDS = st.sampled_from(
    ["Sure,", "the", "Dr.", "3.5", "1,250", "7:30", "p.m.", "U.S.", "e.g.", "ship", "New", "York",
     "and", "in", "...", '"No."', "(yes)", "a@b.org", "https://x.org/a,b", "—", "-", "–", "*bold*",
     "end.", "What?!", "好的，", "开门。", "3.5元", "\n", "1.", "I", "so", "“quote”", "it's", ":"]
)  # fmt: skip
TEXTS = st.one_of(
    st.lists(WORDS, max_size=40).map(" ".join),
    st.text(alphabet="ab .,;:!?…—-\n\"'(1 。，好“”@/", max_size=120),
    st.text(max_size=60),
)


@given(TEXTS)
@example("Sure, ")
@example(". . .")
def test_the_clauses_joined_are_the_text(text: str) -> None:
    cutter = ClauseCutter()
    clauses = cutter.push(text) + cutter.flush()
    joined = "".join(clauses)
    assert text.startswith(joined)
    assert not text[len(joined) :].strip()


@given(TEXTS, st.lists(st.integers(0, 120), max_size=40))
def test_clauses_do_not_depend_on_how_the_text_arrives(text: str, places: list[int]) -> None:
    whole = ClauseCutter()
    expected = whole.push(text) + whole.flush()
    cutter = ClauseCutter()
    clauses: list[str] = []
    for start, end in pairwise(sorted({0, len(text), *(min(at, len(text)) for at in places)})):
        clauses += cutter.push(text[start:end])
    assert clauses + cutter.flush() == expected


@given(TEXTS)
@example("Really?! Yes")
@example('"Yes." Then')
@example('"No." the Sure, \n')
def test_clauses_of_text_that_arrives_letter_by_letter_are_the_same(text: str) -> None:
    assert cut(text, *text) == cut(text)


@given(TEXTS)
def test_every_clause_but_the_last_has_something_to_say(text: str) -> None:
    cutter = ClauseCutter()
    clauses = cutter.push(text) + cutter.flush()
    assert all(count_words(clause) > 0 for clause in clauses[:-1])


@given(st.lists(st.sampled_from(["ship", "House", "of", "12", "and", "red"]), max_size=80))
def test_no_clause_grows_without_end(words: list[str]) -> None:
    clauses = cut(" ".join(words))
    longest = max((count_words(clause) for clause in clauses), default=0)
    runs = " ".join(words).split("red")
    assert longest <= 28 + max(len(run.split()) for run in runs) + 2
