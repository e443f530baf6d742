"""Probabilities become beginnings, pauses and ends. One window is 32 ms."""

from __future__ import annotations

import pytest

from halfsecond.errors import ConfigError
from halfsecond.models.vad.segmenter import (
    Segmenter,
    SegmenterConfig,
    SpeechEnded,
    SpeechEvent,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
)

WINDOW = 512
PLAIN = SegmenterConfig(
    min_speech_s=0.096, pause_s=0.064, silence_s=0.16, pre_roll_s=0.064, lag_s=0.0
)


def events(probabilities: list[float], config: SegmenterConfig = PLAIN) -> list[SpeechEvent]:
    segmenter = Segmenter(config)
    return [event for probability in probabilities for event in segmenter.push(probability)]


def test_speech_starts_once_it_is_longer_than_a_click_and_ends_after_the_silence() -> None:
    assert events([0.0] * 4 + [0.9] * 5 + [0.0] * 5) == [
        SpeechStarted(at_sample=4 * WINDOW, from_sample=2 * WINDOW),
        SpeechPaused(last_sample=9 * WINDOW),
        SpeechEnded(last_sample=9 * WINDOW, from_sample=2 * WINDOW),
    ]


def test_a_click_is_no_speech() -> None:
    assert events([0.0] * 3 + [0.9] * 2 + [0.0] * 10) == []


def test_two_clicks_apart_do_not_add_up_to_speech() -> None:
    assert events(([0.9] * 2 + [0.0] * 3) * 5) == []


def test_the_visitor_may_go_on_after_a_pause() -> None:
    assert events([0.9] * 4 + [0.0] * 3 + [0.9] * 4 + [0.0] * 5) == [
        SpeechStarted(at_sample=0, from_sample=0),
        SpeechPaused(last_sample=4 * WINDOW),
        SpeechResumed(at_sample=7 * WINDOW),
        SpeechPaused(last_sample=11 * WINDOW),
        SpeechEnded(last_sample=11 * WINDOW, from_sample=0),
    ]


def test_a_dip_shorter_than_a_pause_is_not_told() -> None:
    told = events([0.9] * 4 + [0.0] + [0.9] * 4)
    assert told == [SpeechStarted(at_sample=0, from_sample=0)]


def test_speech_between_the_two_thresholds_goes_on_but_does_not_begin() -> None:
    assert events([0.45] * 20) == []
    assert events([0.9] * 3 + [0.45] * 20) == [SpeechStarted(at_sample=0, from_sample=0)]


def test_an_utterance_that_is_too_long_is_cut_and_its_rest_is_not_heard_twice() -> None:
    config = SegmenterConfig(pre_roll_s=0.32, max_utterance_s=1.024, lag_s=0.0)
    told = events([0.9] * 64, config)
    assert told == [
        SpeechStarted(at_sample=0, from_sample=0),
        SpeechEnded(last_sample=32 * WINDOW, from_sample=0, is_cut=True),
        SpeechStarted(at_sample=32 * WINDOW, from_sample=32 * WINDOW),
        SpeechEnded(last_sample=64 * WINDOW, from_sample=32 * WINDOW, is_cut=True),
    ]


def test_the_detectors_lag_counts_as_silence_and_is_taken_off_the_end() -> None:
    config = SegmenterConfig(pause_s=0.096, silence_s=0.16, lag_s=0.064)
    told = events([0.9] * 8 + [0.0] * 3, config)
    assert told[1:] == [
        SpeechPaused(last_sample=6 * WINDOW),
        SpeechEnded(last_sample=6 * WINDOW, from_sample=0),
    ]


def test_reset_forgets_the_utterance_and_counts_from_zero() -> None:
    segmenter = Segmenter(PLAIN)
    for _ in range(4):
        list(segmenter.push(0.9))
    assert segmenter.is_speaking
    segmenter.reset()
    assert not segmenter.is_speaking
    told = [event for _ in range(3) for event in segmenter.push(0.9)]
    assert told == [SpeechStarted(at_sample=0, from_sample=0)]


@pytest.mark.parametrize(
    ("config", "named"),
    [
        (SegmenterConfig(on_probability=0.3, off_probability=0.4), "off_probability 0.4"),
        (SegmenterConfig(pause_s=0.5, silence_s=0.3), "pause_s 0.5"),
        (SegmenterConfig(max_utterance_s=40.0), "max_utterance_s 40.0"),
        (SegmenterConfig(pre_roll_s=-1.0), "pre_roll_s"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    config: SegmenterConfig, named: str
) -> None:
    with pytest.raises(ConfigError, match=named):
        Segmenter(config)
