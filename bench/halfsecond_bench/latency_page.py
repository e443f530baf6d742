"""The latency report as a page that a person wants to read."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from halfsecond.timeline import Timeline
from halfsecond_bench.latency import LatencyReport
from halfsecond_bench.statistics import Distribution
from halfsecond_bench.waterfall import STYLE, draw, svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TARGETS_MS = {"voice_to_first_audio_ms": 600, "voice_to_first_frame_ms": 700}
ROWS = (
    ("voice_to_first_audio_ms", "question's end → first audio"),
    ("voice_to_first_frame_ms", "question's end → first driven frame"),
    ("endpoint_wait_ms", "wait for the end of the turn"),
    ("asr_ms", "speech recognition"),
    ("llm_first_clause_ms", "language model → first clause"),
    ("tts_first_chunk_ms", "voice → first chunk"),
    ("lipsync_first_batch_ms", "lips → first picture"),
    ("av_offset_ms", "sound against lips, absolute"),
)


def write_page(report: LatencyReport) -> str:
    """The HTML of a report, self-contained."""
    ranked = sorted(report.timelines, key=_first_audio_s)
    return PAGE.format(
        style=STYLE,
        device=html.escape(report.device),
        profile=html.escape(report.profile),
        turns=report.turns,
        headline=_headline(report),
        table="".join(
            _row(label, getattr(report, key), TARGETS_MS.get(key)) for key, label in ROWS
        ),
        spread=svg(_draw_spread(report)),
        median=svg(draw(ranked[len(ranked) // 2].relative())) if ranked else "",
        worst=svg(draw(ranked[-1].relative())) if ranked else "",
        rest=_rest(report),
        heard="".join(_heard_row(h) for h in report.transcripts),
        versions=html.escape(", ".join(f"{k} {v}" for k, v in report.versions.items())),
    )


def _first_audio_s(turn: Timeline) -> float:
    return turn.relative().marks.get("first_audio_heard", float("inf"))


def _headline(report: LatencyReport) -> str:
    audio, frame = report.voice_to_first_audio_ms, report.voice_to_first_frame_ms
    return (
        f"Half of the visitors hear the answer within <b>{audio.p50:.0f} ms</b> of their last word "
        f"and see it spoken within <b>{frame.p50:.0f} ms</b>; 95 of 100 within {audio.p95:.0f} and "
        f"{frame.p95:.0f} ms."
    )


def _row(label: str, values: Distribution, target_ms: float | None) -> str:
    target = "" if target_ms is None else f"≤ {target_ms:g}"
    return (
        f"<tr><td>{label}</td><td>{values.p50:.0f}</td><td>{values.p95:.0f}</td>"
        f"<td>{values.max:.0f}</td><td>{values.n}</td><td>{target}</td></tr>"
    )


def _rest(report: LatencyReport) -> str:
    low, high = report.true_answers_interval
    signed = report.av_offset_signed_median_ms
    facts = (
        ("pictures on time", f"{report.fps.p50:.1f} a second (least {report.fps_min:.1f})"),
        ("gaps in playback", str(report.gaps)),
        ("visitors cut off", f"{report.false_cutoffs} in {report.turns} turns"),
        ("sound ahead of lips, median", "–" if signed is None else f"{signed:.0f} ms"),
        ("memory of the server", f"{report.rss_mb:.0f} MB, at most {report.rss_peak_mb:.0f} MB"),
        ("start to ready", f"{report.ready_s:.1f} s"),
        ("processor", f"{report.cpu_share:.2f} cores on average over the run"),
        ("word error rate", f"{100 * report.wer:.1f} %"),
        (
            "true answers",
            f"{report.true_answers} of {report.turns} "
            f"(95 % interval {100 * low:.0f} to {100 * high:.0f} %)",
        ),
    )
    return "".join(f"<tr><td>{name}</td><td>{value}</td></tr>" for name, value in facts)


def _heard_row(heard: object) -> str:
    cells = (getattr(heard, name) for name in ("clip", "kind", "reference", "hypothesis", "answer"))
    return "<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in cells) + "</tr>"


def _draw_spread(report: LatencyReport) -> Figure:
    """Every turn as a dot, for the two figures that a visitor feels."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 2.2), layout="constrained")
    axes = figure.subplots()
    for row, (key, colour) in enumerate(zip(TARGETS_MS, ("#2a8c6a", "#c9772b"), strict=True)):
        values = [v for turn in report.per_turn if (v := getattr(turn, key)) is not None]
        offsets = [row + 0.24 * (2 * (number % 7) / 6 - 1) for number in range(len(values))]
        axes.scatter(values, offsets, s=14, color=colour, alpha=0.75)
        axes.plot([TARGETS_MS[key]] * 2, [row - 0.35, row + 0.35], color="#999999", ls=":")
    axes.set_yticks([0, 1], ["first audio", "first frame"])
    axes.set_ylim(1.5, -0.5)
    axes.set_xlim(left=0)
    axes.set_xlabel("ms after the last speech sample; dotted: target")
    axes.grid(axis="x", color="#e6e6e6")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    return figure


PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>halfsecond: latency</title>
<style>{style}</style>
<h1>How long a visitor waits</h1>
<p>{headline}</p>
<p>{turns} turns, profile {profile}, on {device}. Recorded questions (the table below says where
the voice is synthetic; it is never the one that answers) at real-time pace over the real wire; the
wait for the end of the turn is included; nothing is answered from a cache.</p>
<table><tr><th>milliseconds<th>p50<th>p95<th>max<th>n<th>target</tr>{table}</table>
{spread}
<h2>The median turn</h2>{median}
<h2>The slowest turn</h2>{worst}
<h2>Beside latency</h2><table>{rest}</table>
<h2>What was heard and answered</h2>
<table><tr><th>clip<th>kind<th>said<th>heard<th>answered</tr>{heard}</table>
<p><small>{versions}</small></p>
</html>
"""
