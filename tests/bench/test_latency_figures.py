"""What the harness makes of a turn: each figure on a reply whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from halfsecond import wire
from halfsecond.conversation import Exchange
from halfsecond.recording import Reply, Shown
from halfsecond_bench.clips import Clip, default_folder, load_clips, questions, real_speech
from halfsecond_bench.label import last_speech_sample
from halfsecond_bench.latency import frames_per_second, timeline_of
from halfsecond_bench.statistics import distribution, wilson_interval

PACKET = np.full(2400, 0.2, np.float32)
"""A tenth of a second at 24 kHz."""


def reply(arrivals_s: list[float], frames_s: list[float]) -> Reply:
    """Packets of 0.1 s that came then, and driven frames of 40 ms that came then."""
    made = Reply(1)
    for number, at_s in enumerate(arrivals_s):
        made.audio.append((at_s, number / 10, PACKET))
    for number, at_s in enumerate(frames_s):
        made.pictures.append(Shown(at_s, number / 25, b"", True, 0.5, "jpeg", (8, 8)))
    return made


def test_playback_begins_with_the_first_packet_and_late_ones_are_gaps() -> None:
    smooth = reply([10.0, 10.05, 10.1], [])
    assert smooth.gaps() == []
    late = reply([10.0, 10.05, 10.45, 10.46], [])
    assert late.gaps() == [pytest.approx(0.25)]


def test_a_gap_moves_what_follows_so_that_it_is_counted_once() -> None:
    late = reply([10.0, 10.4, 10.5, 10.6], [])
    assert len(late.gaps()) == 1


def test_first_audio_is_the_first_sample_that_can_be_heard() -> None:
    made = reply([10.0, 10.1], [])
    made.audio[0] = (10.0, 0.0, np.full(2400, 0.001, np.float32))  # -60 dBFS
    assert made.first_audible_s() == 10.1


def test_idle_frames_are_no_first_frame() -> None:
    made = reply([10.0], [10.2])
    made.pictures.insert(0, Shown(9.0, 0.0, b"", False, 0.0, "jpeg", (8, 8)))
    assert made.first_driven_s() == 10.2


def test_frames_count_when_they_come_by_the_time_they_are_due() -> None:
    on_time = reply([10.0] * 10, [10.0 + n / 25 for n in range(25)])
    assert frames_per_second(on_time) == 25
    slow = reply([10.0] * 10, [10.0 + n / 10 for n in range(25)])
    assert frames_per_second(slow) == pytest.approx(1.0)
    assert frames_per_second(reply([], [])) is None


def test_a_turn_counts_from_the_label_and_not_from_our_own_vad() -> None:
    clip = Clip(
        file="a.flac", transcript="", language="en", kind="real", origin="", licence="",
        last_speech_sample=32_000,
    )  # fmt: skip
    made = reply([53.0], [53.1])
    made.end = wire.TurnEnd(
        turn=1, reason="complete", marks={"last_speech": 51.0, "endpoint": 52.4}
    )
    marks = timeline_of(clip, Exchange(50.0, made)).relative().marks
    assert marks["first_audio_heard"] == pytest.approx(1.0)
    assert marks["first_frame_seen"] == pytest.approx(1.1)
    assert marks["endpoint"] == pytest.approx(0.4)
    assert marks["server_last_speech"] == pytest.approx(-1.0)


def test_a_distribution_leaves_out_what_was_not_measured() -> None:
    found = distribution([10.0, None, 20.0, 30.0])
    assert (found.p50, found.max, found.n) == (20.0, 30.0, 3)
    assert found.p95 == pytest.approx(29.0)
    assert math.isnan(distribution([None]).p50)


def test_an_interval_holds_the_rate_and_narrows_with_n() -> None:
    low, high = wilson_interval(9, 10)
    assert low == pytest.approx(0.596, abs=0.001)
    assert high == pytest.approx(0.982, abs=0.001)
    wide, narrow = wilson_interval(5, 10), wilson_interval(500, 1000)
    assert wide[1] - wide[0] > 5 * (narrow[1] - narrow[0])
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_every_committed_label_is_what_its_rule_gives() -> None:
    from halfsecond import audio

    clips = load_clips(default_folder())
    labelled = [c for c in clips if c.last_speech_sample and c.kind == "synthetic"]
    clean = [c for c in labelled if "snr_db" not in c.made]
    assert len(clean) >= 10
    for clip in clean:
        assert last_speech_sample(audio.load(clip.path).samples) == clip.last_speech_sample


def test_the_questions_can_be_answered_and_the_real_clips_are_real() -> None:
    clips = load_clips(default_folder())
    assert len(questions(clips)) >= 12
    assert all(clip.answer_contains for clip in questions(clips))
    assert len(real_speech(clips)) >= 10
    assert all(clip.licence and clip.origin for clip in clips)
