"""Timelines whose slow stage is known: the pieces add up, and the sentence names that stage."""

from __future__ import annotations

from itertools import pairwise

import pytest

from fakes.bench_results import ORIGIN_S, turn
from halfsecond.timeline import Span, Timeline
from halfsecond_bench.blame import largest_part, lengths, median_turn, tally, usual_ms, why_slow
from halfsecond_bench.critical_path import STAGES, pieces_of

ORDINARY = [turn() for _ in range(9)]


def test_pieces_follow_one_another_from_the_last_word_to_the_first_picture() -> None:
    pieces = pieces_of(turn(pause_ms=100, asr_ms=50, llm_ms=120, tts_ms=20, lips_ms=10))
    assert [p.stage for p in pieces] == ["pause", "asr", "llm", "tts", "delivery", "lips"]
    assert [p.length_ms for p in pieces] == pytest.approx([100, 50, 120, 20, 1, 10])
    assert pieces[0].start_ms == 0
    assert pieces[-1].end_ms == pytest.approx(301)
    for piece, following in pairwise(pieces):
        assert piece.end_ms == following.start_ms


@pytest.mark.parametrize(
    ("slow", "name"),
    [
        ({"pause_ms": 180}, "the silence before work begins"),
        ({"asr_ms": 130}, "speech recognition"),
        ({"llm_ms": 200}, "the language model's first clause"),
        ({"tts_ms": 100}, "the voice's first samples"),
        ({"delivery_ms": 81}, "the way to the client"),
    ],
)
def test_the_stage_that_took_80_ms_more_is_blamed_with_what_it_took(
    slow: dict[str, float], name: str
) -> None:
    worst = turn(**slow)  # type: ignore[arg-type]
    (took,) = slow.values()
    assert why_slow(worst, usual_ms([*ORDINARY, worst])) == (
        f"The first sound came after 371 ms; {name} is to blame: {took:.0f} ms, 80 ms more than "
        "usual."
    )


def test_a_long_stage_that_always_is_as_long_is_not_blamed_for_the_worst_turn() -> None:
    worst = turn(asr_ms=90)
    assert max(lengths(pieces_of(worst)).items(), key=lambda pair: pair[1])[0] == "llm"
    assert "speech recognition is to blame: 90 ms, 40 ms more" in why_slow(
        worst, usual_ms(ORDINARY)
    )


def test_when_every_stage_is_a_little_slower_none_is_blamed() -> None:
    worst = turn(pause_ms=120, asr_ms=70, llm_ms=140, tts_ms=40)
    sentence = why_slow(worst, usual_ms(ORDINARY))
    assert "no single stage is to blame" in sentence
    assert "20 of 80 ms more than usual" in sentence


def test_an_answer_that_was_ready_and_held_is_the_fault_of_the_endpoint() -> None:
    held = turn(endpoint_ms=700)
    assert why_slow(held, usual_ms(ORDINARY)) == largest_part(held)
    assert largest_part(held) == (
        "The answer was ready after 290 ms and was held for 410 ms, until the turn was confirmed "
        "at 700 ms: the wait for the end of the turn is to blame."
    )


def test_work_done_while_the_visitor_spoke_takes_nothing_of_the_wait() -> None:
    early = Timeline(
        turn=1,
        marks={
            "last_speech": ORIGIN_S, "endpoint": ORIGIN_S + 0.2,
            "llm_first_clause": ORIGIN_S + 0.15, "tts_first_chunk": ORIGIN_S + 0.17,
            "first_audio_heard": ORIGIN_S + 0.205,
        },
        spans=[
            Span("asr", "part", ORIGIN_S - 0.9, ORIGIN_S - 0.8),
            Span("asr", "whole", ORIGIN_S - 0.1, ORIGIN_S - 0.05),
            Span("llm", "dropped", ORIGIN_S - 0.8, ORIGIN_S - 0.2),
            Span("llm", "answer", ORIGIN_S - 0.05, ORIGIN_S + 0.5),
            Span("tts", "clause", ORIGIN_S + 0.15, ORIGIN_S + 0.18),
        ],
    )  # fmt: skip
    assert lengths(pieces_of(early)) == pytest.approx(
        {"llm": 150, "tts": 20, "held": 30, "delivery": 5}
    )


def test_the_look_at_whether_the_question_is_whole_is_a_piece_of_its_own() -> None:
    judged = turn(pause_ms=100, asr_ms=80)  # the last 30 of it become the judge's
    asr = next(s for s in judged.spans if s.stage == "asr")
    judged.spans.remove(asr)
    judged.spans += [
        Span("asr", "", asr.start_s, asr.end_s - 0.03),
        Span("llm", "judge", asr.end_s - 0.03, asr.end_s),
    ]
    assert lengths(pieces_of(judged)) == pytest.approx(
        {"pause": 100, "asr": 50, "judge": 30, "llm": 120, "tts": 20, "delivery": 1, "lips": 10}
    )


def test_an_answer_that_needs_no_model_waits_for_the_voice_alone() -> None:
    preset = turn(pause_ms=100, asr_ms=50, llm_ms=0)
    preset.spans = [s for s in preset.spans if s.stage != "llm"]
    pieces = lengths(pieces_of(preset))
    assert pieces["asr"] == pytest.approx(50)
    assert "llm" not in pieces


def test_a_turn_without_sound_has_no_pieces_and_says_so() -> None:
    silent = Timeline(turn=1, marks={"last_speech": ORIGIN_S, "endpoint": ORIGIN_S + 0.3})
    assert pieces_of(silent) == []
    assert largest_part(silent) == "There was no answer to be heard."
    assert tally([silent, turn()]) == {"llm": 1}


def test_the_median_turn_is_in_the_middle_and_has_the_usual_pieces() -> None:
    odd = turn("odd", pause_ms=20, asr_ms=130)
    turns = [turn("quick", llm_ms=60), odd, turn("usual"), turn("slow", llm_ms=300)]
    turns += [turn("usual", llm_ms=121), turn("quick", llm_ms=61), turn("slow", llm_ms=301)]
    assert median_turn(turns).question == "usual"


def test_the_budgets_of_the_stages_add_up_to_the_targets_of_the_page() -> None:
    from halfsecond_bench.quantities import FIRST_AUDIO, FIRST_FRAME

    sound = sum(stage.budget_ms for stage in STAGES if stage.key != "lips")
    assert sound == FIRST_AUDIO.p50_target
    assert sum(stage.budget_ms for stage in STAGES) == FIRST_FRAME.p50_target
