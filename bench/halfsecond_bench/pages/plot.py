"""Marks of a chart whose text keeps its size on a phone, and whose colours follow the theme.

Across, everything is in percent of the width; down, in pixels. Colours are classes, which
`document.STYLE` gives for light and dark.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable
from dataclasses import dataclass

TEXT_PX = 12
TICKS = 6


@dataclass(frozen=True)
class Axis:
    """From values to percent of the width."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """Where a value is; beyond the ends, at the end."""
        share = (value - self.low) / (self.high - self.low)
        return round(100 * min(1.0, max(0.0, share)), 3)

    def ticks(self) -> list[float]:
        """Some round values from end to end."""
        step = round_step((self.high - self.low) / TICKS)
        first = math.ceil(self.low / step)
        return [round(n * step, 6) for n in range(first, math.floor(self.high / step + 1e-9) + 1)]


def round_step(least: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is not less."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least * 0.999)


def axis_from_zero(values: Iterable[float]) -> Axis:
    """From 0 to a little more than the largest value."""
    return Axis(0.0, 1.04 * max(values, default=1.0))


def chart(content: Iterable[str], *, height_px: float, label: str) -> str:
    """The drawing; `label` is what a screen reader says of it."""
    return (
        f'<svg class="chart" width="100%" height="{height_px:g}" role="img" '
        f'aria-label="{html.escape(label)}">{"".join(content)}</svg>'
    )


def bar(
    axis: Axis, left: float, right: float, *, y: float, height: float, kind: str, title: str = ""
) -> str:
    """A bar between two values; never thinner than can be seen."""
    width = max(axis.at(right) - axis.at(left), 0.15)
    return (
        f'<rect class="{kind}" x="{axis.at(left)}%" y="{y:g}" width="{width:.3f}%" '
        f'height="{height:g}">{_title(title)}</rect>'
    )


def circle(x: float, y: float, *, kind: str, radius: float = 3.5, title: str = "") -> str:
    """A dot at a place: percent across, pixels down."""
    return f'<circle class="{kind}" cx="{x}%" cy="{y:g}" r="{radius:g}">{_title(title)}</circle>'


def line(x1: float, y1: float, x2: float, y2: float, *, kind: str) -> str:
    """A line between two places: percent across, pixels down."""
    return f'<line class="{kind}" x1="{x1}%" y1="{y1:g}" x2="{x2}%" y2="{y2:g}"/>'


def vertical(axis: Axis, value: float, *, top: float, bottom: float, kind: str) -> str:
    """A line at a value."""
    return line(axis.at(value), top, axis.at(value), bottom, kind=kind)


def text(
    x: float, y: float, words: str, *, kind: str = "", anchor: str = "start", dx: float = 0
) -> str:
    """Words at a place: percent across plus `dx` pixels, their baseline in pixels down."""
    return (
        f'<text class="{kind}" x="{x}%" y="{y:g}" dx="{dx:g}" text-anchor="{anchor}">'
        f"{html.escape(words)}</text>"
    )


def beside(axis: Axis, value: float, y: float, words: str, *, kind: str = "") -> str:
    """Words right of a value, or left of it where the right end is near."""
    at = axis.at(value)
    anchor, dx = ("start", 5) if at < 72 else ("end", -5)
    return text(at, y, words, kind=kind, anchor=anchor, dx=dx)


def scale(axis: Axis, *, top: float, bottom: float, unit: str = "ms") -> str:
    """The grid, and below `bottom` the values of its lines (20 px high)."""
    marks: list[str] = []
    for value in axis.ticks():
        at = axis.at(value)
        anchor = "start" if at < 3 else "end" if at > 97 else "middle"
        marks.append(vertical(axis, value, top=top, bottom=bottom, kind="grid"))
        words = f"{value:g} {unit}".strip() if value == axis.ticks()[-1] else f"{value:g}"
        marks.append(text(at, bottom + 15, words, kind="tick", anchor=anchor))
    return "".join(marks)


def _title(words: str) -> str:
    return f"<title>{html.escape(words)}</title>" if words else ""
