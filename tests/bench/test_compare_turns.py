"""Ratios between two sides: what is paired, what is left out, and what is divided by what."""

from __future__ import annotations

import pytest

from halfsecond_bench.compare.report import ratios
from halfsecond_bench.compare.turns import (
    SideTurn,
    audio_ratio,
    bootstrap_median,
    frame_ratios,
    ratio,
    same_answer,
)


def turn(frame_ms: float | None, *, answer: str = "At five.", **more: object) -> SideTurn:
    return SideTurn(
        clip="a.flac",
        first_audio_ms=frame_ms,
        first_frame_ms=frame_ms,
        answer=answer,
        **more,  # type: ignore[arg-type]
    )


def test_a_ratio_is_the_median_of_the_pairs_and_not_the_ratio_of_medians() -> None:
    found = ratio(
        [(100.0, 1000.0), (200.0, 1000.0), (1000.0, 2000.0)],
        ours="mesh", theirs="sequential", to="first_frame", basis="as_measured",
    )  # fmt: skip
    assert found is not None
    assert (found.times, found.least, found.most, found.n) == (5.0, 2.0, 10.0, 3)
    assert found.least <= found.interval[0] <= found.times <= found.interval[1] <= found.most


def test_a_pair_without_one_of_its_times_lowers_n() -> None:
    found = audio_ratio("mesh", "pipecat", [(turn(100), turn(400)), (turn(100), turn(None))])
    assert found is not None
    assert (found.times, found.n) == (4.0, 1)
    assert audio_ratio("mesh", "pipecat", [(turn(None), turn(400))]) is None


def test_the_wait_counts_as_measured_is_made_equal_and_is_taken_off() -> None:
    ours = turn(400, wait_ms=300, work_ms=250)
    theirs = turn(4800, wait_ms=800, work_ms=4000)
    found = {one.basis: one.times for one in frame_ratios("mesh", "sequential", [(ours, theirs)])}
    assert found == {
        "as_measured": pytest.approx(4800 / 400),
        "same_wait": pytest.approx((300 + 4000) / 400, abs=0.01),
        "waits_off": pytest.approx(4000 / 250),
    }


def test_the_interval_holds_the_median_and_narrows_with_the_spread() -> None:
    wide = bootstrap_median([1.0, 5.0, 10.0, 20.0, 30.0])
    narrow = bootstrap_median([9.0, 9.5, 10.0, 10.5, 11.0])
    assert wide[0] < 10.0 < wide[1]
    assert narrow[1] - narrow[0] < (wide[1] - wide[0]) / 5
    assert bootstrap_median([1.0, 2.0, 4.0]) == bootstrap_median([1.0, 2.0, 4.0])


def test_answers_are_the_same_by_their_words() -> None:
    assert same_answer(turn(1, answer="It costs $6, sir."), turn(1, answer="it costs 6 sir"))
    assert not same_answer(turn(1, answer="At five."), turn(1, answer="At six."))
    assert not same_answer(turn(1, answer=""), turn(1, answer=""))


def test_pairs_with_other_words_or_a_cut_in_are_left_out_and_listed() -> None:
    ours = [turn(100), turn(100), turn(100)]
    theirs = [turn(1000), turn(9000, answer="No idea."), turn(9000, cut_ins=1)]
    found, left_out = ratios({"mesh": ours, "sequential": theirs})
    assert [(one.basis, one.times, one.n) for one in found] == [("as_measured", 10.0, 1)]
    assert [pair.their_turn for pair in left_out] == theirs[1:]


def test_the_voice_pipeline_is_given_the_questions_that_it_took_for_finished_too() -> None:
    ours = [turn(100), turn(100)]
    theirs = [turn(500), turn(3500, is_held=True)]
    found, _ = ratios({"mesh": ours, "pipecat": theirs})
    assert {one.basis: one.times for one in found} == {"as_measured": 20.0, "not_held": 5.0}
