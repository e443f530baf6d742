"""Which stage worked when: one turn's timeline as a picture and as a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from halfsecond.timeline import Span, Timeline
from halfsecond_bench.blame import largest_part
from halfsecond_bench.pages.document import document, paragraph, plain, section, table
from halfsecond_bench.pages.one_turn import waterfall

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
    figure = Figure(figsize=(9.6, 3.9), layout="constrained")
    axes = figure.subplots()
    _draw_wait(axes, turn)
    for row, stage in enumerate(STAGES, start=1):
        for span in turn.spans:
            if span.stage == stage and span.start_s < end_s:
                _draw_span(axes, row, span, end_s)
    _draw_milestones(axes, turn, end_s)
    axes.set_yticks(range(len(STAGES) + 1), ["silence", *STAGES])
    axes.set_ylim(len(STAGES) + 0.5, -0.7)
    axes.set_xlim(-30, 1000 * end_s)
    axes.set_xlabel("ms after the visitor's last speech sample")
    axes.grid(axis="x", color="#e6e6e6")
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    if turn.question:
        axes.set_title(_shorten(turn.question, 90), fontsize=10, loc="left")
    return figure


def _end_s(turn: Timeline) -> float:
    last_s = max((turn.marks[name] for name, _, _ in MILESTONES if name in turn.marks), default=0.0)
    return max(LEAST_SHOWN_S, last_s + SHOWN_AFTER_S)


def _draw_wait(axes: Axes, turn: Timeline) -> None:
    if "last_speech" in turn.marks and "endpoint" in turn.marks:
        width = 1000 * turn.marks["endpoint"]
        axes.barh(0, width, left=0, height=0.55, color=COLOURS["wait"])
        axes.text(width / 2, 0, f"{width:.0f} ms", ha="center", va="center", fontsize=8)


def _draw_span(axes: Axes, row: int, span: Span, end_s: float) -> None:
    left, right = 1000 * span.start_s, 1000 * min(span.end_s, end_s)
    width = max(right - left, 0.5)
    axes.barh(
        row, width, left=left, height=0.55, color=COLOURS[span.stage], edgecolor="white", lw=0.6
    )
    if width > 0.06 * 1000 * end_s:
        label = f"{1000 * (span.end_s - span.start_s):.0f} ms"
        axes.text(left + width / 2, row, label, ha="center", va="center", color="white", fontsize=8)


def _draw_milestones(axes: Axes, turn: Timeline, end_s: float) -> None:
    for number, (name, label, colour) in enumerate(MILESTONES):
        if name not in turn.marks:
            continue
        at_ms = 1000 * turn.marks[name]
        axes.axvline(at_ms, color=colour, lw=1.2, ls="--")
        is_left = at_ms < 700 * end_s
        axes.annotate(
            f"{label} {at_ms:.0f} ms",
            (at_ms, -0.45 + 0.26 * number),
            xytext=(4 if is_left else -4, 0),
            textcoords="offset points",
            color=colour,
            fontsize=8,
            va="center",
            ha="left" if is_left else "right",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.0},
        )


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
