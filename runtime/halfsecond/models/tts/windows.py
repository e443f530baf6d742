"""Which frames of an utterance are made into sound at once: few first, so that it begins early."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

FIRST_S = 0.25
"""Sound of the first window. Shorter is not much earlier: the context around it costs as much."""
GROWTH = 2.0
"""Each window sounds this much longer than the one before, which plays meanwhile."""
LONGEST_S = 2.0
"""Of one window: what is cancelled is no more than this."""


@dataclass(frozen=True)
class Window:
    """Frames `first` to `last` are wanted; those from `start` to `end` are computed."""

    start: int
    first: int
    last: int
    end: int


def windows(
    frames: int, *, frame_s: float, context: int, seams: Sequence[int] = (), lead: int = 0
) -> Iterator[Window]:
    """Windows that together want every frame once, in order.

    context: frames on both sides of what is wanted.
    seams: frames at which a symbol begins; a window ends at the last of them that is not beyond its
        length, so that no phoneme is cut in two.
    lead: frames of silence in front, by which the first window is longer.
    """
    first, wanted_s, more = 0, FIRST_S, lead
    places = sorted(seams)
    while first < frames:
        limit, more = first + max(round(wanted_s / frame_s), 1) + more, 0
        inside = [place for place in places if first < place <= limit]
        last = frames if limit >= frames else max(inside, default=limit)
        yield Window(max(first - context, 0), first, last, min(last + context, frames))
        first, wanted_s = last, min(wanted_s * GROWTH, LONGEST_S)
