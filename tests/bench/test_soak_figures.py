"""What a soak makes of its steps, on steps whose truth is known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from halfsecond import wire
from halfsecond.recording import Reply, Shown
from halfsecond_bench.soak_figures import (
    SoakReport,
    SoakStep,
    SoakTurn,
    course,
    report_of,
    turn_of,
)


def turn(**known: Any) -> SoakTurn:
    values: dict[str, Any] = {
        "reason": "complete",
        "question": "",
        "audio_error_ms": 0.0,
        "video_lead_ms": 12.0,
        "gaps": 0,
        "queue_ms": {"asr": 1.0},
    }
    return SoakTurn(**{**values, **known})


def step(**known: Any) -> SoakStep:
    values: dict[str, Any] = {
        "kind": "ask",
        "took_s": 2.0,
        "pace": 4.0,
        "turns": [turn()],
        "rss_mb": 800.0,
        "threads": 15,
        "open_files": 18,
        "sessions": 1,
        "queued": 0,
        "prompt_cache_tokens": 228,
        "stale": 0,
    }
    return SoakStep(**{**values, **known})


def report(steps: list[SoakStep], **known: Any) -> SoakReport:
    values: dict[str, Any] = {
        "profile": "test",
        "threads": {},
        "pace": 4.0,
        "seed": 1,
        "took_s": 60.0,
        "server_cores": 0.5,
        "rss_peak_mb": 900.0,
        "faults": [],
        "left": {"sessions": 0.0, "queued": 0.0},
    }
    return report_of(steps, **{**values, **known})


def test_a_leak_of_one_mb_a_step_is_found_in_its_slope() -> None:
    found = course([800.0 + at for at in range(100)], warm_up=10)
    assert found.per_100_steps == pytest.approx(100)
    assert (found.warm, found.end, found.max) == (814, 895, 899)
    assert found.growth_percent == pytest.approx(100 * 81 / 814)


def test_one_peak_changes_neither_slope_nor_growth() -> None:
    values: list[float | None] = [800.0] * 100
    values[50] = 2000.0
    found = course(values, warm_up=10)
    assert (found.per_100_steps, found.growth_percent, found.max) == (0, 0, 2000)


def test_what_was_measured_now_and_then_has_its_course_over_all_steps() -> None:
    found = course([None if at % 10 else at / 10 for at in range(100)], warm_up=0)
    assert found.per_100_steps == pytest.approx(10)
    assert math.isnan(course([None, None], warm_up=0).warm)


def test_the_warm_up_is_not_judged() -> None:
    rising = [700.0 + 10 * at for at in range(10)]
    steps = [step(rss_mb=mb) for mb in [*rising, *[800.0] * 90]]
    assert report(steps).rss_growth_percent == 0


def reply(*, pts_s: list[float], frames: int, reason: wire.TurnEndReason) -> Reply:
    """Packets of 100 ms with these pts, and frames of 40 ms."""
    made = Reply(1)
    made.audio = [(10.0, at_s, np.zeros(2400, np.float32)) for at_s in pts_s]
    made.pictures = [
        Shown(10.0, number / 25, b"", number < frames, 0.5, "jpeg", (8, 8))
        for number in range(frames + 6)  # the mouth closes after the sound
    ]
    spans = [
        ("tts", "One,", 1.0, 1.5), ("tts.queue", "One,", 1.0, 1.004),
        ("tts", "two.", 2.0, 2.5), ("tts.queue", "two.", 2.0, 2.009),
    ]  # fmt: skip
    made.end = wire.TurnEnd(turn=1, reason=reason, spans=spans)
    return made


def test_time_stamps_are_held_against_the_samples() -> None:
    exact = turn_of(reply(pts_s=[0.0, 0.1, 0.2], frames=8, reason="complete"), gaps=1)
    assert exact.audio_error_ms == 0
    assert exact.video_lead_ms == pytest.approx(20)
    assert exact.gaps == 1
    skewed = turn_of(reply(pts_s=[0.0, 0.1, 0.25], frames=8, reason="complete"), gaps=0)
    assert skewed.audio_error_ms == pytest.approx(50)


def test_the_end_of_an_answer_that_was_cut_off_says_nothing_of_sound_and_lips() -> None:
    assert turn_of(reply(pts_s=[0.0], frames=2, reason="interrupted"), 0).video_lead_ms is None


def test_the_longest_wait_for_each_engine_is_kept() -> None:
    found = turn_of(reply(pts_s=[0.0], frames=2, reason="complete"), gaps=0)
    assert found.queue_ms == {"tts": pytest.approx(9)}


def test_a_sound_soak_passes_every_check() -> None:
    steps = [step(av_offset_ms=-20.0 if at % 10 == 9 else None) for at in range(50)]
    found = report(steps)
    assert all(found.checks.values())
    assert found.reasons == {"complete": 50}
    assert found.av_offset_ms.p50 == 20
    assert found.av_offset_course_ms.end == -20


FAULTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "memory": ({"rss_mb": 817.0}, {}),
    "drift": ({"av_offset_ms": 25.0}, {}),
    "A/V offset within": ({"av_offset_ms": 60.0}, {}),
    "time stamps": ({"turns": [turn(audio_error_ms=40.0)]}, {}),
    "every turn ended": ({"stuck": "state speaking"}, {}),
    "stale": ({"stale": 1}, {}),
    "invented": ({"kind": "silence", "turns": [turn(question="a"), turn(question="b")]}, {}),
    "descriptors": ({"open_files": 21}, {}),
    "left": ({}, {"left": {"sessions": 1.0, "queued": 0.0}}),
    "errors": ({}, {"faults": ["Traceback (most recent call last):"]}),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_told_by_the_check_that_is_meant_for_it(name: str) -> None:
    late, known = FAULTS[name]
    steps = [step(av_offset_ms=-20.0) for _ in range(40)]
    steps += [step(**{"av_offset_ms": -20.0, **late}) for _ in range(20)]
    failed = [check for check, is_met in report(steps, **known).checks.items() if not is_met]
    assert any(name in check for check in failed)
    assert len(failed) == (2 if name == "A/V offset within" else 1)  # so far off is a drift too


def test_a_client_that_vanished_has_no_answer_to_miss() -> None:
    found = report([step(kind="vanish", turns=[]), step(turns=[]), step()])
    assert found.unanswered == 1


def test_gaps_count_only_at_the_pace_of_real_time() -> None:
    found = report([step(turns=[turn(gaps=3)]), step(pace=1.0, turns=[turn(gaps=1)])])
    assert found.gaps == 1


def test_coughs_that_stop_an_answer_are_counted() -> None:
    stopped = step(kind="cough", turns=[turn(reason="interrupted", question="When?")])
    found = report([stopped, step(kind="cough"), step(kind="speak_over")])
    assert (found.coughs, found.coughs_that_stopped) == (2, 1)
