"""What the harness makes of sounds over an answer, on answers whose truth is known."""

from __future__ import annotations

import pytest

from halfsecond import wire
from halfsecond.client import Received
from halfsecond_bench.barge_in import Answer, Trial, figures, report
from halfsecond_bench.clips import Clip, default_folder, false_alarms, interruptions, load_clips


def clip(kind: str) -> Clip:
    return next(c for c in load_clips(default_folder()) if c.kind == kind)


def answered(*messages: tuple[wire.ServerMessage, float]) -> Answer:
    answer = Answer(turn=1)
    for message, at_s in messages:
        answer.add(Received(message, b"", at_s))
    return answer


def end(*, is_interrupted: bool) -> wire.TurnEnd:
    marks = {"endpoint": 9.0} | ({"interrupted": 10.5} if is_interrupted else {})
    spans = [("tts", "And so on.", 9.1, 9.2), ("pause", "stopped", 10.19, 10.5)]
    return wire.TurnEnd(turn=1, reason="interrupted", marks=marks, spans=spans)


def test_an_interruption_is_timed_from_the_onset_of_the_speech() -> None:
    answer = answered(
        (wire.Audio(turn=1), 9.9), (wire.Pause(turn=1), 10.2), (end(is_interrupted=True), 10.51)
    )
    trial = figures(clip("interruption"), 10.0, answer)
    assert trial.pause_ms == pytest.approx(200)
    assert trial.decision_to_pause_ms == pytest.approx(10)
    assert trial.abandon_ms == pytest.approx(500)
    assert trial.paused_for_ms is None
    assert trial.audio_after_pause == 0


def test_sound_that_comes_while_the_answer_stands_still_is_counted() -> None:
    answer = answered(
        (wire.Pause(turn=1), 10.2),
        (wire.Audio(turn=1), 10.3),
        (wire.Resume(turn=1), 10.6),
        (wire.Audio(turn=1), 10.7),
    )
    trial = figures(clip("backchannel"), 10.0, answer)
    assert trial.audio_after_pause == 1
    assert trial.paused_for_ms == pytest.approx(400)
    assert trial.abandon_ms is None


def trial(name: str, **known: float) -> Trial:
    values: dict[str, float | None] = dict.fromkeys(
        ("pause_ms", "decision_to_pause_ms", "abandon_ms", "paused_for_ms")
    )
    return Trial(clip=name, kind="noise", audio_after_pause=0, **{**values, **known})


def test_false_alarms_that_stop_or_hold_an_answer_are_named() -> None:
    found = report(
        [
            trial("stop.flac", pause_ms=180, abandon_ms=480),
            trial("moon.flac", pause_ms=200),
            trial("click.flac"),
            trial("yeah.flac", pause_ms=150, paused_for_ms=320),
            trial("slow.flac", pause_ms=150, paused_for_ms=700),
            trial("uh-huh.flac", pause_ms=150, abandon_ms=660),
        ],
        {"stop.flac", "moon.flac"},
    )
    assert found.missed_interruptions == ["moon.flac"]
    assert found.answers_abandoned == ["uh-huh.flac"]
    assert found.resumed_late == ["slow.flac"]
    assert found.false_alarms == 4
    assert found.barge_in_pause_ms.n == 2
    assert found.false_alarm_pause_ms.max == 700


def test_the_clips_hold_interruptions_and_false_alarms_and_none_is_both() -> None:
    clips = load_clips(default_folder())
    stopping = {c.file for c in interruptions(clips)}
    harmless = {c.file for c in false_alarms(clips)}
    assert len(stopping) >= 15
    assert len(harmless) >= 12
    assert not stopping & harmless
