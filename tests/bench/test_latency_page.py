"""What the page says, on results whose truth is known."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from fakes.bench_results import DEVICE, QUESTIONS, result, result_data, turn, write_result
from halfsecond.errors import ConfigError
from halfsecond_bench.history import Entry, entry_of
from halfsecond_bench.pages.latency import latency_page
from halfsecond_bench.pages.plot import Axis
from halfsecond_bench.pages.verdict import judged
from halfsecond_bench.results import read_result

TURNS = [(clip, turn(f"Question {clip}?", llm_ms=120 + n)) for n, clip in enumerate(QUESTIONS * 2)]
WORST = ("worst.flac", turn("How far away is <the moon>?", llm_ms=420))


def words_of(page: str) -> str:
    """The page as it is read aloud, one line."""
    return " ".join(re.sub(r"<style>.*?</style>|<[^>]*>", " ", page, flags=re.S).split())


def test_the_answer_comes_first_with_the_median_the_p95_and_the_largest_part(
    tmp_path: Path,
) -> None:
    words = words_of(latency_page(result(tmp_path, [*TURNS, WORST])))
    assert "A visitor waits 305 ms for an answer" in words
    assert "one in twenty waits longer than 318 ms" in words
    assert "The language model's first clause is the largest part: 134 ms" in words
    assert "in 29 of 29 turns" in words
    assert words.index("A visitor waits") < words.index("Where the time goes")


def test_the_worst_turn_is_shown_with_its_question_and_the_stage_to_blame(tmp_path: Path) -> None:
    page = latency_page(result(tmp_path, [*TURNS, WORST]))
    assert "<the moon>" not in page
    words = words_of(page)
    assert "The worst: “How far away is &lt;the moon&gt;?”" in words
    assert (
        "The first sound came after 591 ms; the language model's first clause is to blame: "
        "420 ms, 286 ms more than usual." in words
    )


def test_a_question_that_was_misheard_is_shown_as_it_was_said(tmp_path: Path) -> None:
    data = result_data([*TURNS, WORST])
    data["transcripts"][-1]["reference"] = "How far away is the sun?"
    words = words_of(latency_page(read_result(write_result(tmp_path / "r.json", data))))
    assert "“How far away is the sun?”, heard as “How far away is &lt;the moon&gt;?”" in words


def test_targets_are_met_missed_or_left_open_by_the_interval() -> None:
    assert judged(280, 300, (270, 290), unit="ms") == ("met", "✓ target 300 met")
    assert judged(393, 300, (367, 410), unit="ms") == ("missed", "✗ target 300 missed by 93 ms")
    kind, words = judged(290, 300, (270, 310), unit="ms")
    assert kind == "undecided"
    assert "270 to 310 ms" in words


def test_the_page_says_how_few_turns_the_p95_rests_on(tmp_path: Path) -> None:
    few = words_of(latency_page(result(tmp_path, TURNS)))
    assert "28 turns of 14 questions" in few
    assert "rests on the slowest 2 of the turns; 59 are needed" in few
    assert "59 are needed" not in words_of(latency_page(result(tmp_path, TURNS * 3)))


def test_rates_stand_beside_their_interval(tmp_path: Path) -> None:
    words = words_of(latency_page(result(tmp_path, TURNS, false_cutoffs=2)))
    assert "visitors cut off 2 of 28 ✗ target 0 missed by 2 95 % interval 2–23 %" in words


def test_figures_that_a_result_lacks_are_left_out_and_new_ones_need_no_code(
    tmp_path: Path,
) -> None:
    plain = words_of(latency_page(result(tmp_path, TURNS)))
    assert "answer silent" not in plain
    assert "Cold and warm" not in plain
    spread = {"p50": 180.0, "p95": 231.0, "max": 260.0, "n": 20}
    more = words_of(
        latency_page(
            result(
                tmp_path, TURNS,
                barge_in_pause_ms=spread, loop_cpu_share=0.031,
                barge_in={"false_alarms": 20, "answers_abandoned": ["cough.flac"]},
                cold_voice_to_first_audio_ms=912.0, runtime_overhead_ms=None,
            )
        )
    )  # fmt: skip
    assert "visitor speaks → answer silent 180 ms 231 ms 260 ms 20 p95 ≤ 250 ms" in more
    assert "answers dropped for a cough, click or mm-hm 1 of 20 (1–24" in more
    assert "event loop, of one core 3.1 %" in more
    assert "first sound 912 ms 1 304 ms 28" in more


def test_a_page_of_nothing_but_unanswered_turns_says_so(tmp_path: Path) -> None:
    silent = turn()
    del silent.marks["first_audio_heard"]
    data = result_data(TURNS[:1]) | {
        "timelines": [{"turn": 1, "marks": silent.marks}],
        "per_turn": [{"clip": "a.flac", "voice_to_first_audio_ms": None}],
        "voice_to_first_audio_ms": {"p50": None, "p95": None, "max": None, "n": 0},
        "voice_to_first_frame_ms": {"p50": None, "p95": None, "max": None, "n": 0},
        "unanswered": ["a.flac"],
    }
    words = words_of(latency_page(read_result(write_result(tmp_path / "silent.json", data))))
    assert "No visitor got an answer" in words
    assert "questions without an answer 1 of 1" in words


class Links(HTMLParser):
    """Collects whatever a browser would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [f"{tag} {name}" for name, _ in attrs if name in ("src", "href", "srcset")]
        if tag in ("script", "link", "iframe", "img"):
            self.found.append(tag)


def test_the_page_fetches_nothing_and_knows_the_dark_and_the_narrow(tmp_path: Path) -> None:
    page = latency_page(result(tmp_path, TURNS), [entry(0, 300), entry(1, 310)])
    links = Links()
    links.feed(page)
    assert links.found == []
    assert "url(" not in page
    assert "@import" not in page
    assert "prefers-color-scheme: dark" in page
    assert "width=device-width" in page


def test_every_tag_of_the_page_is_closed(tmp_path: Path) -> None:
    page = latency_page(result(tmp_path, [*TURNS, WORST]), [entry(0, 300)])
    for tag in ("svg", "table", "section", "details", "div", "p", "h3", "text"):
        assert len(re.findall(rf"<{tag}[ >]", page)) == page.count(f"</{tag}>"), tag


def entry(day: int, p50: float, *, device: str = DEVICE) -> Entry:
    """A result of the past."""
    spread = {"p50": p50, "p95": p50 + 90, "max": p50 + 100, "n": 28}
    return msgspec.convert(
        {
            "commit": f"abc{day:04}", "date": datetime(2026, 1, 1 + day, tzinfo=timezone.utc),
            "kind": "latency", "profile": "default", "device": device, "turns": 28,
            "figures": {"voice_to_first_audio_ms": spread},
            "p50_intervals": {"voice_to_first_audio_ms": (p50 - 20, p50 + 20)},
        },
        Entry,
    )  # fmt: skip


def test_the_trend_joins_only_results_of_the_same_kind_of_machine(tmp_path: Path) -> None:
    measured = result(tmp_path, TURNS)
    now = entry_of(measured, commit="now", date=datetime(2026, 2, 1, tzinfo=timezone.utc))
    other = entry(1, 900, device="Another Processor, 8 cores, 64 GiB, Linux")
    page = latency_page(measured, [entry(0, 333), other, now])
    words = words_of(page)
    assert "2 results of this profile and kind of machine; 1 of others in grey" in words
    assert "abc0000, 2026-01-01" in words
    sound = page[page.index('aria-label="voice_to_first_audio_ms over 3 commits"') :]
    sound = sound[: sound.index("</svg>")]
    assert len(re.findall(r'class="trend"', sound)) == 1
    assert len(re.findall(r'class="plain"', sound)) == 2
    assert "333 / 423" in words


def test_values_beyond_an_axis_stay_at_its_end() -> None:
    axis = Axis(0, 500)
    assert (axis.at(-10), axis.at(250), axis.at(900)) == (0, 50, 100)
    assert axis.ticks() == [0, 100, 200, 300, 400, 500]


def test_a_file_that_is_no_result_is_refused_with_the_command_that_makes_one(
    tmp_path: Path,
) -> None:
    (tmp_path / "x.json").write_text('{"turns": 3}')
    with pytest.raises(ConfigError, match=r"x\.json is no result.*bench latency --json"):
        read_result(tmp_path / "x.json")
    with pytest.raises(ConfigError, match="there is no"):
        read_result(tmp_path / "y.json")
