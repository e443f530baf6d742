"""How waits and cut-offs trade, as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from halfsecond_bench.turn_report import Curve, Figures, HalfReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#8a8f99", "#c9772b", "#7a4fa3", "#2a8c6a")
"""Plain silence, then one sign after another; as in the waterfall where a stage has one."""
PANELS = (
    ("cut_off", "all pauses"),
    ("cut_off_knowable", "without pauses after a whole sentence"),
)


def write(report: HalfReport, path: Path) -> None:
    """Writes the curves of one half as a PNG: the share of pauses cut off over the mean wait."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 4.2), layout="constrained")
    for axes, (name, title) in zip(figure.subplots(1, 2, sharey=True), PANELS, strict=True):
        for curve, colour in zip(report.curves, COLOURS, strict=True):
            _draw_curve(axes, curve, name, colour)
        _draw_chosen(axes, report.chosen, name)
        rate = getattr(report.chosen, name)
        axes.set_title(f"{title} (n = {rate.n})", fontsize=10, loc="left")
        axes.set_xlabel(f"mean wait at {report.chosen.wait_ms.n} ends (ms)")
        axes.set_xlim(0, None)
        axes.set_ylim(0, 100)
        axes.grid(color="#e6e6e6")
        axes.set_axisbelow(True)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
    figure.axes[0].set_ylabel("cut off (%)")
    figure.savefig(path, dpi=130)


def _draw_curve(axes: Axes, curve: Curve, name: str, colour: str) -> None:
    waits = [point.figures.wait_mean_ms for point in curve.points]
    shares = [100 * getattr(point.figures, name).share for point in curve.points]
    axes.plot(waits, shares, ".-", color=colour, linewidth=1.4, markersize=4, label=curve.name)


def _draw_chosen(axes: Axes, chosen: Figures, name: str) -> None:
    rate = getattr(chosen, name)
    axes.errorbar(
        [chosen.wait_mean_ms],
        [100 * rate.share],
        yerr=[[100 * (rate.share - rate.low)], [100 * (rate.high - rate.share)]],
        fmt="o", color="#111111", capsize=3, label="as configured, 95 % interval",
    )  # fmt: skip
