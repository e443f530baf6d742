"""Which stage made a turn as slow as it was, as a sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from halfsecond.timeline import Timeline
from halfsecond_bench.critical_path import BUDGET, STAGES, Piece, pieces_of

WORK = tuple(stage.key for stage in STAGES if stage.key not in ("held", "lips"))
"""The pieces of the first sound that could be made shorter."""
STANDS_OUT = 0.4
"""One stage is blamed when it made this share of what a turn took longer; below, none is."""
HELD_MS = 2.0
"""An answer that waited no longer than this for its turn was not held back."""


def lengths(pieces: Iterable[Piece]) -> dict[str, float]:
    """Milliseconds by stage; a stage that took none of the wait has none."""
    return {piece.stage: piece.length_ms for piece in pieces}


def usual_ms(turns: Sequence[Timeline]) -> dict[str, float]:
    """The median of each piece over all turns that were answered."""
    taken = [found for turn in turns if (found := lengths(pieces_of(turn)))]
    return {key: median(pieces.get(key, 0.0) for pieces in taken) for key in BUDGET if taken}


def blamed(pieces: Mapping[str, float], usual: Mapping[str, float]) -> str:
    """The stage to blame: the one that took the most more than usual.

    An answer that was ready and held back would not have come sooner from any faster stage: then
    it is "held". With no `usual` (all zero) it is the largest piece.
    """
    if pieces.get("held", 0.0) > HELD_MS:
        return "held"
    return max(WORK, key=lambda key: pieces.get(key, 0.0) - usual.get(key, 0.0))


def largest_part(turn: Timeline) -> str:
    """What took most of a turn's wait for the first sound, in one sentence."""
    pieces = lengths(pieces_of(turn))
    if not pieces:
        return "There was no answer to be heard."
    if (stage := blamed(pieces, {})) == "held":
        return _held(turn)
    return (
        f"The first sound came after {heard_ms(turn):.0f} ms; the largest part is "
        f"{BUDGET[stage].name}: {pieces[stage]:.0f} ms, where {BUDGET[stage].budget_ms:.0f} ms "
        "are planned."
    )


def why_slow(turn: Timeline, usual: Mapping[str, float]) -> str:
    """Why a turn took longer than others do, in one sentence."""
    pieces = lengths(pieces_of(turn))
    if not pieces:
        return "There was no answer to be heard."
    if (stage := blamed(pieces, usual)) == "held":
        return _held(turn)
    more_ms = {key: pieces.get(key, 0.0) - usual.get(key, 0.0) for key in WORK}
    slower_ms = sum(value for value in more_ms.values() if value > 0)
    begin = f"The first sound came after {heard_ms(turn):.0f} ms"
    name, most_ms = BUDGET[stage].name, more_ms[stage]
    if most_ms <= 0:
        return f"{begin}; no stage was slower than usual."
    if most_ms < STANDS_OUT * slower_ms:
        return (
            f"{begin}; no single stage is to blame: {name} took most, {most_ms:.0f} of "
            f"{slower_ms:.0f} ms more than usual."
        )
    return f"{begin}; {name} is to blame: {pieces[stage]:.0f} ms, {most_ms:.0f} ms more than usual."


def _held(turn: Timeline) -> str:
    pieces = {piece.stage: piece for piece in pieces_of(turn)}
    held = pieces["held"]
    return (
        f"The answer was ready after {held.start_ms:.0f} ms and was held for {held.length_ms:.0f} "
        f"ms, until the turn was confirmed at {held.end_ms:.0f} ms: the wait for the end of the "
        "turn is to blame."
    )


def heard_ms(turn: Timeline) -> float:
    """From the last speech to the first sound; infinite where there was none."""
    return 1000 * turn.relative().marks.get("first_audio_heard", float("inf"))


def median_turn(turns: Sequence[Timeline]) -> Timeline:
    """A turn in the middle by its wait: of the three there, the one with the usual pieces."""
    ranked = sorted(turns, key=heard_ms)
    middle, usual = (len(ranked) - 1) // 2, usual_ms(turns)
    nearest = ranked[max(0, middle - 1) : middle + 2]

    def strangeness(turn: Timeline) -> float:
        pieces = lengths(pieces_of(turn))
        return sum(abs(pieces.get(key, 0.0) - value) for key, value in usual.items())

    return min(nearest, key=strangeness)


def tally(turns: Sequence[Timeline]) -> Counter[str]:
    """How many turns each stage was the largest part of, or held back at the end."""
    taken = (lengths(pieces_of(turn)) for turn in turns)
    return Counter(blamed(pieces, {}) for pieces in taken if pieces)
