"""What `halfsecond doctor` finds out about sound and lips, from the server that runs here."""

from __future__ import annotations

from collections.abc import Iterator

from halfsecond.config import Config
from halfsecond.diagnosis import Finding, Verdict
from halfsecond.metrics_page import read_figures
from halfsecond.stages.av_offset import AHEAD_S, BEHIND_S

OFTEN = 0.05
"""A share of answers that ran off which is more than a hiccup of the machine now and then."""
REMEDY = "its log says of each answer where it was (`the lips are off the sound`) and what to do"


def examine_lips(config: Config) -> Iterator[Finding]:
    """Looks at the figures of the server, where it gives any and has spoken with a face."""
    if not config.log.metrics_port:
        return
    try:
        figures = read_figures(config.log.metrics_port)
    except OSError:
        return  # no server runs
    if not figures.get("av_offset_seconds_count sent"):
        return
    now_s = figures.get("av_offset_now_seconds", 0.0)
    answers = sum(n for name, n in figures.items() if name.startswith("turns_total"))
    off = figures.get("lips_off_total", 0.0)
    found = (
        f"sound {1000 * now_s:+.0f} ms ahead when a face last spoke, drift "
        f"{1000 * figures.get('av_drift_seconds_per_minute', 0.0):+.0f} ms a minute; "
        f"{off:.0f} of {answers:.0f} answers beyond {1000 * AHEAD_S:+.0f} or {1000 * BEHIND_S:.0f}"
    )
    is_off = off > OFTEN * answers or not BEHIND_S <= now_s <= AHEAD_S
    verdict: Verdict = "warning" if is_off else "ok"
    yield Finding("lips", verdict, found, REMEDY if is_off else "")
