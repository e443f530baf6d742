"""What a load test makes of turns whose truth is known."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from halfsecond.timeline import Span, Timeline
from halfsecond_bench.load_figures import (
    Level,
    StageLoad,
    grown_most,
    parts_of,
    report_of,
)
from halfsecond_bench.statistics import Distribution


def turn() -> Timeline:
    """Recognition waited 30 ms and worked 60, the first lip batch waited twice."""
    marks = {
        "last_speech": 10.0, "endpoint": 10.3, "llm_first_clause": 10.45, "tts_first_chunk": 10.5,
        "lipsync_first_frame": 10.57, "first_audio_sent": 10.5, "first_audio_heard": 10.504,
    }  # fmt: skip
    spans = [
        Span("asr", "1 s", 10.1, 10.19), Span("asr.queue", "1 s", 10.1, 10.13),
        Span("llm", "judge", 10.19, 10.2),
        Span("llm", "answer", 10.2, 11.0), Span("llm.queue", "answer", 10.2, 10.25),
        Span("tts", "One,", 10.45, 10.51), Span("tts.queue", "One,", 10.45, 10.45),
        Span("tts", "two.", 10.9, 11.0), Span("tts.queue", "two.", 10.9, 10.99),
        Span("lipsync", "begin", 10.5, 10.51), Span("lipsync.queue", "begin", 10.5, 10.505),
        Span("lipsync", "feed", 10.51, 10.6), Span("lipsync.queue", "feed", 10.51, 10.52),
        Span("lipsync", "feed", 10.7, 10.9), Span("lipsync.queue", "feed", 10.7, 10.85),
    ]  # fmt: skip
    return Timeline(turn=1, marks=marks, spans=spans)


def test_waiting_and_work_are_told_apart_up_to_the_first_result() -> None:
    parts = parts_of(turn())
    assert {name: part.wait_ms for name, part in parts.items()} == {
        "turn end": None,
        "asr": pytest.approx(30),
        "llm": pytest.approx(50),
        "tts": pytest.approx(0),
        "lipsync": pytest.approx(15),
        "delivery": None,
    }
    assert [part.work_ms for part in parts.values()] == pytest.approx([300, 60, 200, 50, 55, 4])


def test_a_stage_at_an_address_does_not_tell_how_long_it_waited() -> None:
    known = turn()
    known.spans = [span for span in known.spans if span.stage != "asr.queue"]
    part = parts_of(known)["asr"]
    assert part.wait_ms is None
    assert part.work_ms == pytest.approx(90)


def test_a_turn_without_an_answer_leaves_parts_out() -> None:
    assert parts_of(Timeline(turn=1)) == {}


def level(sessions: int, *, p95_ms: float, **parts_ms: float) -> Level:
    def of(value: float) -> Distribution:
        return Distribution(value, value, value, 12)

    stages = {name: StageLoad(of(ms), of(50.0)) for name, ms in parts_ms.items()}
    values: dict[str, Any] = {
        "turns": 12, "refused": 0, "failures": [], "fps": of(25), "fps_min": 25.0, "gaps": 0,
        "false_cutoffs": 0, "dropped_pictures": 0, "server_cores": 0.3, "client_cores": 0.1,
        "rss_mb": 800.0,
    }  # fmt: skip
    return Level(
        sessions=sessions,
        voice_to_first_audio_ms=of(p95_ms),
        voice_to_first_frame_ms=of(p95_ms + 10),
        stages=stages,
        **values,
    )


def test_the_part_that_grew_most_is_to_blame_not_the_longest() -> None:
    first = level(1, p95_ms=500, asr=0.0, llm=200.0)
    last = level(3, p95_ms=1200, asr=600.0, llm=300.0)
    assert grown_most(first, last) == "asr"
    assert grown_most(first, first) == "llm"


def test_a_report_says_how_many_hold_and_what_breaks() -> None:
    levels = [
        level(1, p95_ms=500, asr=0.0, llm=0.0),
        level(2, p95_ms=700, asr=0.0, llm=200.0),
        level(3, p95_ms=1200, asr=5.0, llm=700.0),
    ]
    found = report_of(levels, budget_ms=1000, seed=1, profile="test", threads={})
    assert (found.holds_sessions, found.breaks_at_sessions) == (2, 3)
    assert found.first_to_break == "llm"
    assert "3 at once break 1000 ms (p95 1200 ms)" in found.verdict
    assert "most grew llm: p95 in its queue 0 to 700 ms, at work 50 to 50 ms" in found.verdict


def test_where_one_visitor_is_too_many_the_longest_part_is_named() -> None:
    found = report_of(
        [level(1, p95_ms=1300, asr=20.0, llm=700.0)],
        budget_ms=1000,
        seed=1,
        profile="test",
        threads={},
    )
    assert (found.holds_sessions, found.breaks_at_sessions) == (0, 1)
    assert found.verdict.endswith("the longest part is llm, p95 750 ms")


def test_a_budget_that_holds_to_the_end_is_not_broken() -> None:
    levels = [level(1, p95_ms=500, asr=1.0), level(2, p95_ms=600, asr=2.0)]
    found = report_of(levels, budget_ms=1000, seed=1, profile="test", threads={})
    assert (found.holds_sessions, found.breaks_at_sessions) == (2, None)
    assert "2 at once stay within 1000 ms" in found.verdict


@pytest.mark.parametrize("known", [{"refused": 1}, {"turns": 0}])
def test_a_visitor_who_was_sent_away_or_not_answered_breaks_it(known: dict[str, Any]) -> None:
    message = "the server is busy: 4 of 4 sessions are open"
    refused = level(5, p95_ms=500, asr=1.0)
    refused = msgspec.structs.replace(refused, failures=[message], **known)
    found = report_of(
        [level(1, p95_ms=500, asr=1.0), refused], budget_ms=1000, seed=1, profile="t", threads={}
    )
    assert found.breaks_at_sessions == 5
    assert message in found.verdict
