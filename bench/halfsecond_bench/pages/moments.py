"""Where the words beside vertical lines go, so that no line runs through another's words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations, product

GAP = 5.0
"""Pixels between a line and its words."""


@dataclass(frozen=True)
class Moment:
    """A line at `at` with words of some `length`, both in pixels."""

    at: float
    length: float


@dataclass(frozen=True)
class Place:
    """Which row its words stand in, from the top, and on which side of the line.

    A line begins in the row of its words and runs down through the rows below.
    """

    row: int
    is_right: bool


def places_of(moments: Sequence[Moment], *, width: float) -> list[Place]:
    """A place for each: one to a row, all within `width`, crossed by as few lines as can be.

    A chart that is stretched while its words keep their size stays as clear as it was: every line
    moves away from the words of the others. Meant for a handful, since it tries every order.
    """
    sides = list(product((True, False), repeat=len(moments)))
    found = (
        [Place(row, is_right) for row, is_right in zip(rows, side, strict=True)]
        for side in sides
        for rows in permutations(range(len(moments)))
    )
    return min(found, key=lambda places: _faults(moments, places, width), default=[])


def words_of(moment: Moment, place: Place) -> tuple[float, float]:
    """From where to where the words reach."""
    if place.is_right:
        return moment.at + GAP, moment.at + GAP + moment.length
    return moment.at - GAP - moment.length, moment.at - GAP


def crossings(moments: Sequence[Moment], places: Sequence[Place]) -> int:
    """How many times a line runs through words."""
    return sum(
        left < line.at < right and line_place.row <= place.row
        for moment, place in zip(moments, places, strict=True)
        for left, right in [words_of(moment, place)]
        for line, line_place in zip(moments, places, strict=True)
    )


def _faults(
    moments: Sequence[Moment], places: Sequence[Place], width: float
) -> tuple[float, int, int]:
    """What is cut off, then what is crossed, then what stands on the less usual side."""
    reaches = [words_of(*pair) for pair in zip(moments, places, strict=True)]
    cut_off = sum(max(0.0, -left) + max(0.0, right - width) for left, right in reaches)
    return cut_off, crossings(moments, places), sum(not place.is_right for place in places)
