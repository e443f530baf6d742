"""One turn as a waterfall: which stage worked when, and what the first sound waited for."""

from __future__ import annotations

from halfsecond.timeline import Timeline
from halfsecond_bench.critical_path import Piece, pieces_of
from halfsecond_bench.pages.moments import GAP, Moment, Place, places_of
from halfsecond_bench.pages.plot import Axis, bar, chart, scale, text, vertical

ROWS = (
    ("silence", "pause", ""),
    ("recognition", "asr", "asr"),
    ("language model", "llm", "llm"),
    ("voice", "tts", "tts"),
    ("lips", "lips", "lipsync"),
)
"""What a row is called, its colour, and the stage whose spans it shows."""
ROW_OF = {"judge": 2} | {kind: number for number, (_, kind, _) in enumerate(ROWS)}
"""Where a piece of the wait is drawn; what is not named here, beside the silence."""
MOMENTS = (
    ("endpoint", "turn confirmed"),
    ("first_audio_heard", "first sound"),
    ("first_frame_seen", "first picture"),
)
ROW_PX = 38
SHOWN_AFTER_S = 0.06
LEAST_SHOWN_S = 0.4
PIECES = {"judge": "judge", "llm": "clause", "held": "held", "delivery": "delivery"}
"""What a piece is called where its row does not say it."""
LEAST_NAMED_MS = 1
NARROWEST_PX = 285
"""A chart on a phone of 320 px; what is clear there is clear on a wider screen."""
LETTER_PX = 6.9
"""A letter of 12 px, a wide one of those that systems have (DejaVu Sans takes 6.5)."""


def axis_of(*turns: Timeline) -> Axis:
    """From the last speech until everything that a visitor notices has come, in ms."""
    ends_s = [
        marks[name] for turn in turns for marks in [turn.relative().marks]
        for name, _ in MOMENTS if name in marks
    ]  # fmt: skip
    return Axis(0.0, 1000 * (max(ends_s, default=LEAST_SHOWN_S) + SHOWN_AFTER_S))


def waterfall(turn: Timeline, axis: Axis | None = None) -> str:
    """Full colour: what the first sound waited for. Faint: other work. Dashed: what is noticed."""
    turn, axis = turn.relative(), axis or axis_of(turn)
    top = 15 * len(MOMENTS) + 4
    bottom = top + ROW_PX * len(ROWS)
    pieces = pieces_of(turn)
    drawn, words = [scale(axis, top=top, bottom=bottom)], []
    for number, (label, kind, stage) in enumerate(ROWS):
        y = top + ROW_PX * number
        mine = [piece for piece in pieces if ROW_OF.get(piece.stage, 0) == number]
        drawn.extend(_faint(turn, axis, stage, kind, y + 18))
        drawn.extend(
            bar(axis, piece.start_ms, piece.end_ms, y=y + 18, height=15, kind=piece.stage)
            for piece in mine
        )
        words.append(text(0, y + 13, _heading(label, mine), kind="soft"))
    lines, named = _moments(turn, axis, bottom)
    content = [*drawn, *lines, *words, *named]
    return chart(content, height_px=bottom + 20, label=f"waterfall of: {turn.question}")


def _heading(label: str, pieces: list[Piece]) -> str:
    """A row's name and how long its pieces took, which no bar is too short to say."""
    lengths = [
        f"{PIECES.get(piece.stage, '')} {piece.length_ms:.0f} ms".strip()
        for piece in pieces
        if piece.length_ms >= LEAST_NAMED_MS
    ]
    return f"{label}: {', '.join(lengths)}" if lengths else label


def _moments(turn: Timeline, axis: Axis, bottom: float) -> tuple[list[str], list[str]]:
    """The lines of what a visitor notices, and the words beside them."""
    seen = [
        (1000 * turn.marks[name], f"{words} {1000 * turn.marks[name]:.0f} ms")
        for name, words in MOMENTS
        if name in turn.marks
    ]
    places = places_of(
        [Moment(NARROWEST_PX * axis.at(at_ms) / 100, LETTER_PX * len(w)) for at_ms, w in seen],
        width=NARROWEST_PX,
    )
    lines, named = [], []
    for (at_ms, words), place in zip(seen, places, strict=True):
        y = 15 * place.row + 11
        lines.append(vertical(axis, at_ms, top=y - 9, bottom=bottom, kind="mark"))
        named.append(_beside(axis.at(at_ms), y, words, place))
    return lines, named


def _beside(at: float, y: float, words: str, place: Place) -> str:
    anchor, dx = ("start", GAP) if place.is_right else ("end", -GAP)
    return text(at, y, words, anchor=anchor, dx=dx)


def _faint(turn: Timeline, axis: Axis, stage: str, kind: str, y: float) -> list[str]:
    """All work of a stage in the time that is shown; the silence until the turn is confirmed."""
    if stage:
        spans = [
            (1000 * s.start_s, 1000 * s.end_s, s.detail) for s in turn.spans if s.stage == stage
        ]
    else:
        spans = [(0.0, 1000 * turn.marks.get("endpoint", 0.0), "until the turn was confirmed")]
    return [
        bar(
            axis,
            start,
            end,
            y=y,
            height=15,
            kind=f"{kind} faint",
            title=f"{detail}: {end - start:.0f} ms",
        )
        for start, end, detail in spans
        if end > axis.low and start < axis.high
    ]
