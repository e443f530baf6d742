"""Which stage worked when: one turn's timeline as a picture and as a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from halfsecond.timeline import Span, Timeline
from halfsecond_bench.blame import largest_part
from halfsecond_bench.pages.document import document, paragraph, plain, section, table
from halfsecond_bench.pages.moments import GAP, Moment, places_of
from halfsecond_bench.pages.one_turn import waterfall

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation, Text

STAGES = ("asr", "llm", "tts", "lipsync")
COLOURS = {
    "wait": "#b8bec8",
    "asr": "#3b6ea8",
    "llm": "#7a4fa3",
    "tts": "#2a8c6a",
    "lipsync": "#c9772b",
}
MILESTONES = (
    ("endpoint", "turn confirmed", "#555555"),
    ("first_audio_heard", "first audio", "#2a8c6a"),
    ("first_frame_seen", "first frame", "#c9772b"),
)
SHOWN_AFTER_S = 0.35
"""What happens after the first frame is shown this long: the answer itself is not latency."""
LEAST_SHOWN_S = 0.4
BAR_HEIGHT = 0.55
MOMENT_ROWS = (-1.13, -0.87, -0.61)
"""Where the words of the milestones stand, above the first bar (in rows of bars)."""


@dataclass(frozen=True)
class _BarName:
    """The length that is written in a bar, and the bar's ends in ms."""

    words: Text
    left_ms: float
    right_ms: float


def write(timeline: Timeline, path: Path) -> list[Path]:
    """Writes `path`.png and `path`.html; returns them."""
    turn = timeline.relative()
    png, page = path.with_suffix(".png"), path.with_suffix(".html")
    draw(turn).savefig(png, dpi=130)
    page.write_text(_page(turn), encoding="utf-8")
    return [png, page]


def draw(turn: Timeline) -> Figure:
    """The waterfall of a turn whose times count from the last speech sample."""
    from matplotlib.figure import Figure

    end_s = _end_s(turn)
    figure = Figure(figsize=(9.6, 4.1), layout="constrained")
    axes = figure.subplots()
    names = _draw_wait(axes, turn)
    for row, stage in enumerate(STAGES, start=1):
        for span in turn.spans:
            if span.stage == stage and span.start_s < end_s:
                names.append(_draw_span(axes, row, span, end_s))
    milestones = _draw_milestones(axes, turn)
    _dress(axes, turn, end_s)
    figure.draw_without_rendering()
    _hide_crowded(axes, names)
    _place_milestones(axes, milestones)
    return figure


def _dress(axes: Axes, turn: Timeline, end_s: float) -> None:
    axes.set_yticks(range(len(STAGES) + 1), ["silence", *STAGES])
    axes.set_ylim(len(STAGES) + 0.5, MOMENT_ROWS[0] - 0.2)
    axes.set_xlim(-30, 1000 * end_s)
    axes.set_xlabel("ms after the visitor's last speech sample")
    axes.grid(axis="x", color="#e6e6e6")
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    if turn.question:
        axes.set_title(_shorten(turn.question, 90), fontsize=10, loc="left")


def _end_s(turn: Timeline) -> float:
    last_s = max((turn.marks[name] for name, _, _ in MILESTONES if name in turn.marks), default=0.0)
    return max(LEAST_SHOWN_S, last_s + SHOWN_AFTER_S)


def _draw_wait(axes: Axes, turn: Timeline) -> list[_BarName]:
    if "last_speech" not in turn.marks or "endpoint" not in turn.marks:
        return []
    width = 1000 * turn.marks["endpoint"]
    axes.barh(0, width, left=0, height=BAR_HEIGHT, color=COLOURS["wait"])
    words = _write(axes, width / 2, 0, f"{width:.0f} ms", ink="black", ground=COLOURS["wait"])
    return [_BarName(words, 0.0, width)]


def _draw_span(axes: Axes, row: int, span: Span, end_s: float) -> _BarName:
    left, right = 1000 * span.start_s, 1000 * min(span.end_s, end_s)
    width = max(right - left, 0.5)
    colour = COLOURS[span.stage]
    axes.barh(row, width, left=left, height=BAR_HEIGHT, color=colour, edgecolor="white", lw=0.6)
    label = f"{1000 * (span.end_s - span.start_s):.0f} ms"
    words = _write(axes, left + width / 2, row, label, ink="white", ground=colour)
    return _BarName(words, left, left + width)


def _write(axes: Axes, x: float, row: int, label: str, *, ink: str, ground: str) -> Text:
    """Words in a bar, on ground of its colour so that no dashed line runs through them."""
    return axes.text(
        x, row, label, ha="center", va="center", color=ink, fontsize=8, zorder=4,
        bbox={"facecolor": ground, "edgecolor": "none", "pad": 1.0},
    )  # fmt: skip


def _hide_crowded(axes: Axes, names: Sequence[_BarName]) -> None:
    """Leaves out what does not fit in its bar, and what would cover the words of another.

    Bars of one stage may lie over each other: its drafts, or two sentences at once. The longest
    are named first. What is left out stands in the page's table.
    """
    shown: list[Text] = []
    for name in sorted(names, key=lambda n: n.left_ms - n.right_ms):
        words = name.words.get_window_extent()
        left, right = (axes.transData.transform((x, 0))[0] for x in (name.left_ms, name.right_ms))
        is_clear = left + GAP <= words.x0 and words.x1 <= right - GAP
        if is_clear and not any(words.overlaps(other.get_window_extent()) for other in shown):
            shown.append(name.words)
        else:
            name.words.set_visible(False)


def _draw_milestones(axes: Axes, turn: Timeline) -> list[Annotation]:
    drawn = []
    for name, label, colour in MILESTONES:
        if name not in turn.marks:
            continue
        at_ms = 1000 * turn.marks[name]
        axes.axvline(at_ms, color=colour, lw=1.2, ls="--")
        drawn.append(
            axes.annotate(
                f"{label} {at_ms:.0f} ms", (at_ms, MOMENT_ROWS[0]), xytext=(0, 0),
                textcoords="offset pixels", color=colour, fontsize=8, va="center",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
            )
        )  # fmt: skip
    return drawn


def _place_milestones(axes: Axes, milestones: Sequence[Annotation]) -> None:
    """Gives each milestone's words a row and a side, once it is known how long they are."""
    inner = axes.get_window_extent()
    places = places_of(
        [
            Moment(
                axes.transData.transform(words.xy)[0] - inner.x0, words.get_window_extent().width
            )
            for words in milestones
        ],
        width=inner.width,
    )
    for words, place in zip(milestones, places, strict=True):
        words.xy = (words.xy[0], MOMENT_ROWS[place.row])
        words.set_horizontalalignment("left" if place.is_right else "right")
        words.set_position((GAP if place.is_right else -GAP, 0))


def _shorten(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _page(turn: Timeline) -> str:
    """The turn as a page: what it waited for, then every moment and every span."""
    spans = [
        (s.stage, s.detail, f"{1000 * s.start_s:.1f}", f"{1000 * (s.end_s - s.start_s):.1f}")
        for s in sorted(turn.spans, key=lambda s: s.start_s)
    ]
    marks = [
        (name, f"{1000 * at_s:.1f}")
        for name, at_s in sorted(turn.marks.items(), key=lambda pair: pair[1])
    ]
    return document(
        "halfsecond: one turn",
        "".join(
            (
                paragraph("halfsecond · one turn", kind="note"),
                f"<h1>{plain(turn.question or 'A typed question')}</h1>",
                paragraph(turn.answer, kind="lead"),
                waterfall(turn),
                paragraph(largest_part(turn)),
                section("Moments", table(("moment", "ms after the last word"), marks, numbers=1)),
                section("Stages", table(("stage", "what", "start, ms", "ms"), spans, numbers=2)),
            )
        ),
    )
