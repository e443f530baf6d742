"""Where the words of a waterfall stand, on the page and in the picture."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from xml.etree import ElementTree as ET

import pytest

from fakes.bench_results import turn
from halfsecond.timeline import Span, Timeline
from halfsecond_bench.pages.moments import Moment, crossings, places_of, words_of
from halfsecond_bench.pages.one_turn import waterfall

WIDTHS_PX = (285, 355, 828)
"""A chart on two telephones and on a desk."""
LETTER_PX = {"soft": 6.0, "tick": 6.0}
"""At 11 px; any other words at 12 px."""
MARGIN_PX = 17
"""Of the page, beside a chart: the last number of its scale may stand there."""
SEED = 5


@dataclass(frozen=True)
class Box:
    words: str
    left: float
    right: float
    top: float
    bottom: float

    def covers(self, other: Box) -> bool:
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom


def boxes_of(chart: str, width: float) -> list[Box]:
    """Every piece of text of a chart that is `width` pixels wide."""
    boxes = []
    for element in ET.fromstring(chart).iter("text"):
        words = element.text or ""
        length = LETTER_PX.get(element.get("class", ""), 6.6) * len(words)
        x = width * float(element.get("x", "").rstrip("%")) / 100 + float(element.get("dx", "0"))
        share = {"start": 0.0, "middle": 0.5, "end": 1.0}[element.get("text-anchor", "")]
        left, baseline = x - share * length, float(element.get("y", ""))
        boxes.append(Box(words, left, left + length, baseline - 9, baseline + 2))
    return boxes


def two_short_pieces() -> Timeline:
    """An answer that was held for 12 ms, and 12 ms more on its way."""
    return turn(pause_ms=40, asr_ms=9, llm_ms=14, tts_ms=8, endpoint_ms=83, delivery_ms=12)


def some_turns() -> list[Timeline]:
    """Short and long ones."""
    rng = random.Random(SEED)
    return [
        turn(
            pause_ms=rng.uniform(1, 150), asr_ms=rng.uniform(1, 90), llm_ms=rng.uniform(1, 400),
            tts_ms=rng.uniform(1, 60), delivery_ms=rng.uniform(1, 20), lips_ms=rng.uniform(1, 120),
            endpoint_ms=rng.uniform(60, 600),
        )
        for _ in range(60)
    ]  # fmt: skip


@pytest.mark.parametrize("width", WIDTHS_PX)
def test_no_words_of_the_page_cover_others_or_are_cut_off(width: int) -> None:
    for one in (two_short_pieces(), *some_turns()):
        boxes = boxes_of(waterfall(one), width)
        covered = [(a.words, b.words) for a, b in combinations(boxes, 2) if a.covers(b)]
        cut_off = [b.words for b in boxes if b.left < 0 or b.right > width + MARGIN_PX]
        assert (covered, cut_off) == ([], [])


def test_two_short_pieces_of_one_row_are_both_named() -> None:
    words = [box.words for box in boxes_of(waterfall(two_short_pieces()), 285)]
    assert "silence: 40 ms, held 12 ms, delivery 12 ms" in words
    assert "lips: 10 ms" in words


@pytest.mark.parametrize(
    "lines",
    [(20, 40, 60), (250, 280, 283), (0, 250, 270), (150, 150, 150), (130, 120, 60)],
    ids=["early", "late", "apart", "together", "backwards"],
)
def test_no_line_runs_through_the_words_of_another(lines: Sequence[float]) -> None:
    moments = [Moment(at, 125) for at in lines]
    places = places_of(moments, width=285)
    assert crossings(moments, places) == 0
    assert sorted(place.row for place in places) == [0, 1, 2]
    for left, right in map(words_of, moments, places):
        assert (left >= 0, right <= 285) == (True, True)


def test_bars_that_lie_over_each_other_leave_the_picture_legible() -> None:
    pytest.importorskip("matplotlib")
    from halfsecond_bench.waterfall import draw

    drafts = [Span("llm", "draft", 1000.1 + n / 100, 1000.2 + n / 100) for n in range(3)]
    short = [Span("tts", "", 1000.21 + n * 0.012, 1000.222 + n * 0.012) for n in range(4)]
    crowded = turn(endpoint_ms=900)
    crowded.spans.extend([*drafts, *short])
    figure = draw(crowded.relative())
    figure.draw_without_rendering()
    (axes,) = figure.axes
    shown = [words for words in axes.texts if words.get_visible()]
    reaches = [(words.get_text(), words.get_window_extent()) for words in shown]
    assert [(a, b) for (a, one), (b, two) in combinations(reaches, 2) if one.overlaps(two)] == []
    assert {"turn confirmed 900 ms", "first audio 901 ms", "first frame 911 ms", "100 ms"} <= {
        words for words, _ in reaches
    }
    inner = axes.get_window_extent()
    assert all(inner.x0 <= box.x0 and box.x1 <= inner.x1 for _, box in reaches)
