"""Sound against lips while an answer plays: seeded faults come out with their sign and size."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from halfsecond.metrics import METRICS
from halfsecond.stages.av_offset import AvOffset

FRAME_S = 1 / 25
REPORT_S = 0.25


def answer() -> AvOffset:
    return AvOffset("session", 1)


def send(av: AvOffset, *, late_s: float, length_s: float = 10.0, frame_s: float = FRAME_S) -> None:
    """Pictures that leave this much after their moment."""
    for number in range(round(length_s / frame_s)):
        av.sent(number * frame_s, number * frame_s + late_s)


def report(
    av: AvOffset,
    *,
    heard: Callable[[float], float],
    shown: Callable[[float], float] | None = None,
    length_s: float = 10.0,
    way_s: Callable[[], float] = lambda: 0.0,
) -> None:
    """Playheads four times a second. heard: at a time since the first sample; shown: the offset."""
    for number in range(round(length_s / REPORT_S)):
        at_s = number * REPORT_S
        offset_s = None if shown is None else shown(at_s)
        av.reported(heard(at_s), 100.0 + at_s + way_s(), offset_s=offset_s)


def value(name: str, **labels: str) -> float:
    return METRICS.registry.get_sample_value(f"halfsecond_{name}", labels) or 0.0


def test_a_fast_loudspeaker_beside_pictures_by_a_timer_is_a_drift_of_its_size() -> None:
    av = answer()
    send(av, late_s=-0.3)
    report(av, heard=lambda t: 1.01 * t, shown=lambda t: 0.01 * t)
    figures = av.end()
    assert figures.measured == "shown"
    assert figures.drift_s_per_minute == pytest.approx(0.6, rel=0.02)
    assert figures.playhead_drift_s_per_minute == pytest.approx(0.6, rel=0.001)
    assert figures.offset_s == pytest.approx(0.05, abs=0.005)
    assert value("av_drift_seconds_per_minute") == pytest.approx(0.6, rel=0.02)
    assert value("playhead_drift_seconds_per_minute") == pytest.approx(0.6, rel=0.001)


def test_one_that_runs_slow_drifts_the_other_way() -> None:
    av = answer()
    report(av, heard=lambda t: 0.99 * t, shown=lambda t: -0.01 * t)
    figures = av.end()
    assert figures.drift_s_per_minute == pytest.approx(-0.6, rel=0.02)
    assert figures.playhead_drift_s_per_minute == pytest.approx(-0.6, rel=0.001)


def test_a_fast_loudspeaker_whose_pictures_go_by_it_keeps_its_lips() -> None:
    av = answer()
    report(av, heard=lambda t: 1.01 * t, shown=lambda _: 0.01)
    figures = av.end()
    assert figures.drift_s_per_minute == pytest.approx(0.0, abs=1e-9)
    assert figures.playhead_drift_s_per_minute == pytest.approx(0.6, rel=0.001)


def test_playheads_without_a_time_of_their_own_tell_the_same_through_the_jitter() -> None:
    chance = random.Random(3)
    av = answer()
    report(av, heard=lambda t: 1.01 * t, way_s=lambda: 0.02 + chance.uniform(0, 0.015))
    found = av.end().playhead_drift_s_per_minute
    assert found == pytest.approx(0.6, abs=0.06)


def test_pictures_that_leave_100_ms_late_are_an_offset_of_100_ms_and_told_once() -> None:
    off, repeated = value("lips_off_total"), value("repeated_pictures_total")
    late = value("av_offset_seconds_bucket", measured="sent", le="0.125")
    in_time = value("av_offset_seconds_bucket", measured="sent", le="0.08")
    av = answer()
    send(av, late_s=-0.3, length_s=1.0)
    with capture_logs() as logs:
        for number in range(25, 250):
            av.sent(number * FRAME_S, number * FRAME_S + 0.1)
    figures = av.end()
    assert figures.offset_s == pytest.approx(0.1)
    assert figures.measured == "sent"
    assert figures.repeated == 2  # while the delay began
    assert value("av_offset_now_seconds") == pytest.approx(0.1)
    assert value("lips_off_total") == off + 1
    assert value("repeated_pictures_total") == repeated + 2
    assert value("av_offset_seconds_bucket", measured="sent", le="0.125") == late + 250
    assert value("av_offset_seconds_bucket", measured="sent", le="0.08") == in_time + 25
    (line,) = logs
    assert line["event"] == "the lips are off the sound"
    assert (line["offset_ms"], line["measured"]) == (100, "sent")
    assert "face.fps" in line["remedy"]


def test_a_client_that_shows_in_time_pictures_late_is_told_that_it_is_the_one() -> None:
    av = answer()
    send(av, late_s=-0.3)
    with capture_logs() as logs:
        report(av, heard=lambda t: t, shown=lambda _: 0.1)
    (line,) = logs
    assert (line["offset_ms"], line["measured"]) == (100, "shown")
    assert "client" in line["remedy"]


@pytest.mark.parametrize(("offset_s", "is_off"), [(0.04, 0), (-0.12, 0), (0.05, 1), (-0.13, 1)])
def test_the_limits_are_what_viewers_notice(offset_s: float, is_off: int) -> None:
    before = value("lips_off_total")
    report(answer(), heard=lambda t: t, shown=lambda _: offset_s, length_s=2.0)
    assert value("lips_off_total") - before == is_off


def test_pictures_that_wait_at_the_client_are_in_time_however_early_they_leave() -> None:
    av = answer()
    with capture_logs() as logs:
        send(av, late_s=-0.6)
    figures = av.end()
    assert (figures.offset_s, figures.drift_s_per_minute, figures.repeated) == (0.0, 0.0, 0)
    assert not logs


def test_single_late_pictures_are_no_alarm_but_are_counted() -> None:
    av = answer()
    with capture_logs() as logs:
        for number in range(100):
            pts_s = number * FRAME_S
            av.sent(pts_s, pts_s + (0.2 if number % 10 == 9 else -0.1))
    assert not logs
    assert av.end().repeated == 10 * 5


def test_a_pause_and_a_wait_for_the_next_clause_are_no_drift() -> None:
    def heard(t: float) -> float:
        return t if t < 4.0 else max(4.0, t - 2.0)  # stands still for two seconds

    av = answer()
    report(av, heard=heard, shown=lambda _: 0.01)
    assert av.end().playhead_drift_s_per_minute == pytest.approx(0.0, abs=1e-9)


def test_an_eased_face_repeats_nothing_and_one_that_skips_pictures_does() -> None:
    eased = answer()
    send(eased, late_s=-0.3, frame_s=1 / 10)
    assert eased.end().repeated == 0
    skipping = answer()
    for number in (0, 1, 2, 5, 6, 9):
        skipping.sent(number * FRAME_S, number * FRAME_S)
    assert skipping.end().repeated == 2 + 2


def test_pictures_that_were_never_drawn_are_counted_the_first_ones_too() -> None:
    before = value("skipped_pictures_total")
    av = answer()
    for number in (3, 4, 5, 8, 9):
        av.sent(number * FRAME_S, number * FRAME_S)
    assert value("skipped_pictures_total") - before == 3 + 2


def test_what_a_client_dropped_is_counted_once_and_not_beyond_what_it_got() -> None:
    before = value("client_dropped_pictures_total")
    av = answer()
    send(av, late_s=0.0, length_s=1.0)
    for dropped in (0, 2, 2, 5, 1_000_000):
        av.reported(0.5, 100.0, dropped=dropped)
    assert value("client_dropped_pictures_total") - before == 25
    assert av.end().dropped == 25


def test_a_short_answer_has_an_offset_and_no_drift() -> None:
    av = answer()
    report(av, heard=lambda t: t, shown=lambda _: 0.02, length_s=2.0)
    figures = av.end()
    assert figures.offset_s == 0.02
    assert figures.drift_s_per_minute is figures.playhead_drift_s_per_minute is None
    assert figures.fields() == {"av_offset_ms": 20.0}
    assert answer().end().fields() == {}
