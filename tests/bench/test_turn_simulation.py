"""Policies on pauses whose truth is known."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from halfsecond.models.turn.endpoint import EndpointConfig, Evidence
from halfsecond.models.vad.segmenter import Segmenter, SegmenterConfig
from halfsecond_bench import turn_report
from halfsecond_bench.turn_clips import Kind, Pause, TurnClip
from halfsecond_bench.turn_simulation import (
    ALL_SIGNS,
    EARLIEST_SOUND_S,
    confirmed_at_s,
    known_at_s,
    run,
)
from halfsecond_bench.turn_traces import Opinion, Silence, Trace, find_pauses

RATE_HZ = 16_000
SAYS = Opinion(
    text="where is the", text_s=0.05, completeness=0.9, completeness_s=0.045,
    sentence_end=0.5, sentence_end_s=0.02,
)  # fmt: skip
PAUSE_AT_S, END_AT_S = 1.0, 4.0


def samples(seconds: float) -> int:
    return round(seconds * RATE_HZ)


def silence(at_s: float, *, resumed_s: float | None = None, **changes: Any) -> Silence:
    """One that the server sees 0.12 s after the last speech, and falling 0.06 s after it."""
    seen = Silence(
        last_sample=samples(at_s),
        fell_sample=samples(at_s + 0.06),
        paused_sample=samples(at_s + 0.12),
        resumed_sample=None if resumed_s is None else samples(resumed_s),
        opinion=SAYS,
    )
    return msgspec.structs.replace(seen, **changes)


def trace(*, pause_s: float, kind: Kind = "broken") -> Trace:
    """Speech, a pause after 1 s, speech, and the end after 4 s."""
    pause = Pause(samples(PAUSE_AT_S), samples(PAUSE_AT_S + pause_s), kind)
    clip = TurnClip(
        name="clip", half="test", way="apart", text="", voice="",
        last_speech_sample=samples(END_AT_S), pauses=[pause],
    )  # fmt: skip
    inner = silence(PAUSE_AT_S, resumed_s=PAUSE_AT_S + pause_s + 0.06)
    return Trace(clip, [inner, silence(END_AT_S)])


def test_a_silence_is_confirmed_as_soon_as_it_is_long_enough() -> None:
    at_s = confirmed_at_s(silence(0.0), turn_report.always(0.4))
    assert at_s is not None
    # The next block after the next window of 32 ms.
    assert 0.4 <= at_s <= 0.4 + 0.032 + 0.02


def test_a_silence_that_ends_before_is_never_confirmed() -> None:
    assert confirmed_at_s(silence(0.0, resumed_s=0.4), turn_report.always(0.5)) is None


def test_signs_are_known_when_their_models_have_run() -> None:
    known = known_at_s(silence(0.0), turn_report.always(1.0), ALL_SIGNS)
    assert known["words"] == pytest.approx(0.06 + 0.05)
    assert known["sentence end"] == pytest.approx(0.06 + 0.05 + 0.02)
    assert known["sound"] == pytest.approx(0.06 + 0.05 + 0.02 + 0.045)


def test_without_a_fall_words_are_asked_for_at_the_pause() -> None:
    known = known_at_s(silence(0.0, fell_sample=None), turn_report.always(1.0), ALL_SIGNS)
    assert known["words"] == pytest.approx(0.12 + 0.05)


def test_sound_alone_is_asked_for_at_the_pause() -> None:
    known = known_at_s(silence(0.0), turn_report.always(1.0), frozenset({"sound"}))
    assert known == {"sound": pytest.approx(0.12 + 0.045)}


def test_the_sound_is_not_asked_for_where_the_words_settle_it() -> None:
    def policy(evidence: Evidence) -> float:
        return 0.2 if evidence.sentence_end is not None else 1.0

    assert "sound" not in known_at_s(silence(0.0), policy, ALL_SIGNS, 0.2)
    assert "sound" in known_at_s(silence(0.0), policy, ALL_SIGNS, 0.1)
    assert "sound" in known_at_s(silence(0.0), policy, frozenset({"sound", "words"}), 0.2)


def test_a_policy_is_told_of_a_sign_when_it_is_known_and_not_before() -> None:
    told: list[Evidence] = []

    def policy(evidence: Evidence) -> float:
        told.append(evidence)
        return 9.0

    confirmed_at_s(silence(0.0), policy)
    words = Evidence(text="where is the")
    both = Evidence(text="where is the", sentence_end=0.5)
    everything = Evidence(0.9, "where is the", 0.5)
    _, *told = told  # first it is asked whether words settle it
    assert told[0] == words
    assert list(dict.fromkeys(told)) == [words, both, everything]
    told.clear()
    confirmed_at_s(silence(0.0), policy, frozenset({"sound"}))
    assert set(told) == {Evidence(), Evidence(completeness=0.9)}


def test_a_sign_that_comes_late_confirms_when_it_comes() -> None:
    late = silence(0.0, opinion=msgspec.structs.replace(SAYS, completeness_s=0.5))
    at_s = confirmed_at_s(late, lambda known: 9.0 if known.completeness is None else 0.2)
    assert at_s == pytest.approx(0.13 + 0.5)


def test_a_pause_longer_than_the_silence_is_cut_off_and_a_shorter_one_is_not() -> None:
    for pause_s, is_cut in ((0.3, False), (0.6, True)):
        ((pause,), (end,)) = (
            (trials := run([trace(pause_s=pause_s)], turn_report.always(0.4))).pauses,
            trials.ends,
        )
        assert pause.is_cut_off is is_cut
        assert pause.length_s == pytest.approx(pause_s)
        assert 0.4 <= end.wait_s <= 0.46
        assert trials.elsewhere == 0


def test_a_turn_confirmed_before_any_sound_can_be_made_cuts_nobody_off() -> None:
    (pause,) = run([trace(pause_s=0.21)], turn_report.always(0.15)).pauses
    assert pause.confirmed_s is not None
    assert pause.confirmed_s < 0.21 < EARLIEST_SOUND_S
    assert not pause.is_cut_off


def test_a_turn_confirmed_while_the_visitor_goes_on_is_counted_apart() -> None:
    (pause,) = run([trace(pause_s=0.4)], turn_report.always(0.405)).pauses
    assert pause.confirmed_s is not None
    assert not pause.is_cut_off


def test_an_end_in_the_middle_of_speech_is_counted() -> None:
    with_another = trace(pause_s=0.3)
    with_another.silences.insert(1, silence(2.5, resumed_s=3.2))
    trials = run([with_another], turn_report.always(0.4))
    assert trials.elsewhere == 1


def test_figures_say_who_was_cut_off_with_an_interval() -> None:
    lengths_s = (0.3, 0.6, 0.6, 1.2)
    kinds: tuple[Kind, ...] = ("broken", "broken", "sentence", "broken")
    traces = [trace(pause_s=s, kind=k) for s, k in zip(lengths_s, kinds, strict=True)]
    figures = turn_report.figures(run(traces, turn_report.always(0.8)))
    assert (figures.cut_off.hits, figures.cut_off.n) == (1, 4)
    assert figures.cut_off.low < 0.25 < figures.cut_off.high
    assert (figures.cut_off_knowable.hits, figures.cut_off_knowable.n) == (1, 3)
    assert figures.wait_ms.n == 4
    assert 800 <= figures.wait_ms.p50 <= 860
    # One of one pause above 1 s is cut off, and none of the others.
    assert figures.cut_off_as_conversation == pytest.approx(turn_report.LONG_SHARE)


def test_the_first_sound_is_never_sooner_than_it_can_be_made() -> None:
    figures = turn_report.figures(run([trace(pause_s=0.3)], turn_report.always(0.1)))
    assert figures.wait_ms.p50 < figures.sound_ms.p50 == 1000 * EARLIEST_SOUND_S


def test_who_goes_on_soon_enough_is_heard_out() -> None:
    trials = run([trace(pause_s=0.9), trace(pause_s=1.6)], turn_report.always(0.5))
    recovery = turn_report.recovery(trials, reopen_s=1.5)
    assert (recovery.repaired.hits, recovery.repaired.n) == (1, 2)
    assert 350 < recovery.heard_ms.p50 < 1100


def test_curves_trade_waits_for_cut_offs() -> None:
    traces = [trace(pause_s=s) for s in (0.3, 0.5, 0.9)]
    plain, *smart = turn_report.curves(traces, EndpointConfig())
    shares = [point.figures.cut_off.share for point in plain.points]
    waits = [point.figures.wait_ms.p50 for point in plain.points]
    assert shares == sorted(shares, reverse=True)
    assert waits == sorted(waits)
    assert (shares[0], shares[-1]) == (1.0, 0.0)
    assert [curve.name for curve in smart] == list(turn_report.SIGNS)


def test_shifted_thresholds_keep_their_order() -> None:
    config = EndpointConfig(complete_above=0.8, incomplete_below=0.2)
    moved = turn_report.shifted(config, 1.0)
    assert 0.2 < moved.incomplete_below < 0.8 < moved.complete_above < 1
    back = turn_report.shifted(moved, -1.0)
    assert back.complete_above == pytest.approx(0.8)


def test_pauses_are_found_when_a_session_sees_them() -> None:
    """0.64 s of hum, 0.64 s of silence, 0.64 s of hum, silence; a VAD that is two windows late."""
    hum = 0.3 * np.sin(2 * np.pi * 220 * np.arange(20 * 512) / RATE_HZ)
    sound = np.concatenate([hum, np.zeros(20 * 512), hum, np.zeros(20 * 512)]).astype(np.float32)
    probabilities = [float(max(n - 2, 0) // 20 % 2 == 0) for n in range(80)]
    segmenter = Segmenter(SegmenterConfig(pause_s=0.09, silence_s=2.0, lag_s=0.064))
    first, last = find_pauses(sound, probabilities, segmenter)
    assert first.from_sample == last.from_sample == 0
    assert first.fell_sample is not None
    assert 0.05 <= first.fell_sample / RATE_HZ - 0.64 <= 0.08
    # Known when the block is complete that ends with or after the first silent window.
    assert first.paused_sample == samples(0.74)
    assert first.resumed_sample == samples(1.38)
    assert last.resumed_sample is None
