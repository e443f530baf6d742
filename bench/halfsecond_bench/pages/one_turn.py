"""One turn as a waterfall: which stage worked when, and what the first sound waited for."""

from __future__ import annotations

from halfsecond.timeline import Timeline
from halfsecond_bench.critical_path import Piece, pieces_of
from halfsecond_bench.pages.plot import Axis, bar, beside, chart, scale, text, vertical

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
INSIDE_PERCENT = 13
"""A bar of this width has room for its length on a phone."""
LEAST_NAMED_MS = 6


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
    content = [scale(axis, top=top, bottom=bottom)]
    for number, (label, kind, stage) in enumerate(ROWS):
        y = top + ROW_PX * number
        content.append(text(0, y + 13, label, kind="soft"))
        content.extend(_faint(turn, axis, stage, kind, y + 18))
    for piece in pieces_of(turn):
        y = top + ROW_PX * ROW_OF.get(piece.stage, 0) + 18
        content.append(bar(axis, piece.start_ms, piece.end_ms, y=y, height=15, kind=piece.stage))
        content.append(_length(axis, piece, y + 12))
    for number, (name, words) in enumerate(MOMENTS):
        if name in turn.marks:
            at_ms, y = 1000 * turn.marks[name], 15 * number + 11
            content.append(vertical(axis, at_ms, top=y - 9, bottom=bottom, kind="mark"))
            content.append(beside(axis, at_ms, y, f"{words} {at_ms:.0f} ms"))
    return chart(content, height_px=bottom + 20, label=f"waterfall of: {turn.question}")


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


def _length(axis: Axis, piece: Piece, y: float) -> str:
    """The length of a piece: in it where there is room, else before it, or after its judge."""
    words = f"{piece.length_ms:.0f} ms"
    left, right = axis.at(piece.start_ms), axis.at(piece.end_ms)
    if right - left >= INSIDE_PERCENT:
        return text((left + right) / 2, y, words, kind="on", anchor="middle")
    if piece.length_ms < LEAST_NAMED_MS:
        return ""
    if left > INSIDE_PERCENT and piece.stage != "llm":
        return text(left, y, words, anchor="end", dx=-4)
    return text(right, y, words, dx=4)
