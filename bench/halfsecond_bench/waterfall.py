"""Which stage worked when: one turn's timeline as a picture and as a page."""

from __future__ import annotations

import html
import io
from pathlib import Path
from typing import TYPE_CHECKING

from halfsecond.timeline import Span, Timeline

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
    figure = draw(turn)
    png, page = path.with_suffix(".png"), path.with_suffix(".html")
    figure.savefig(png, dpi=130)
    page.write_text(_page(turn, figure), encoding="utf-8")
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


def svg(figure: Figure) -> str:
    """The figure as an `<svg>` element."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg")
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _page(turn: Timeline, figure: Figure) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(s.stage)}</td><td>{html.escape(s.detail)}</td>"
        f"<td>{1000 * s.start_s:.1f}</td><td>{1000 * (s.end_s - s.start_s):.1f}</td></tr>"
        for s in sorted(turn.spans, key=lambda s: s.start_s)
    )
    marks = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{1000 * at_s:.1f}</td></tr>"
        for name, at_s in sorted(turn.marks.items(), key=lambda pair: pair[1])
    )
    return PAGE.format(
        style=STYLE,
        question=html.escape(turn.question or "a typed question"),
        answer=html.escape(turn.answer),
        svg=svg(figure),
        marks=marks,
        rows=rows,
    )


STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       color: #222; }
svg { width: 100%; height: auto; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { text-align: left; padding: .2rem .9rem .2rem 0; border-bottom: 1px solid #ddd; }
td:nth-last-child(-n+2):not(:first-child) { font-variant-numeric: tabular-nums; }
"""
"""Style of every page that the harness writes."""

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>halfsecond: one turn</title>
<style>{style}</style>
<h1>One turn</h1>
<p><b>Heard:</b> {question}<br><b>Answered:</b> {answer}</p>
{svg}
<h2>Moments</h2>
<table><tr><th>moment<th>ms after the last speech sample</tr>{marks}</table>
<h2>Stages</h2>
<table><tr><th>stage<th>what<th>start, ms<th>length, ms</tr>{rows}</table>
</html>
"""
