"""The result of `bench compare`: who waited how long, and the ratios."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from rich.console import Console
from rich.table import Table

from halfsecond_bench.compare.recognition import RecognitionRatio, RecognitionReport
from halfsecond_bench.compare.turns import (
    Ratio,
    SideTurn,
    audio_ratio,
    cut_in,
    frame_ratios,
    ratio,
    same_answer,
)
from halfsecond_bench.statistics import Distribution, distribution

OURS = ("mesh", "wav2lip_int8")
TITLES = {
    "mesh": "ours, mesh",
    "wav2lip_int8": "ours, Wav2Lip INT8",
    "sequential": "sequential",
    "pipecat": "pipecat",
}
TO_REACH: dict[tuple[str, str], float] = {
    ("mesh", "sequential"): 15.0,
    ("wav2lip_int8", "sequential"): 12.0,
    ("mesh", "pipecat"): 4.0,
    ("wav2lip_int8", "pipecat"): 4.0,
    ("halfsecond", "faster-whisper, greedy"): 3.0,
    ("halfsecond", "faster-whisper, default"): 5.0,
}
"""Times sooner, as measured."""


class SideFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One side over all its turns; milliseconds after the last sample of speech."""

    first_audio_ms: Distribution
    first_frame_ms: Distribution
    wait_ms: Distribution
    work_ms: Distribution
    unanswered: int
    cut_ins: int
    held: int
    """Questions that its turn model took for unfinished at first."""


class Differing(msgspec.Struct, frozen=True):
    """A pair of turns that no ratio is taken over."""

    ours: str
    theirs: str
    our_turn: SideTurn
    their_turn: SideTurn


class CompareReport(msgspec.Struct, frozen=True, kw_only=True):
    """The package's page says what is fair in it; docs/latency.md what each figure means."""

    turns: int
    device: str
    versions: dict[str, str]
    threads: dict[str, dict[str, int]]
    settings: dict[str, str]
    """What each side was set to, in words."""
    missing: list[str]
    """Packages that were not there, whose sides did not run."""
    sides: dict[str, SideFigures]
    sequential_stages_ms: dict[str, Distribution]
    speech_s: Distribution
    """Length of the sequential recipe's answers."""
    ratios: list[Ratio]
    differing: list[Differing]
    recognition: RecognitionReport | None
    per_turn: dict[str, list[SideTurn]]


def figures(turns: Sequence[SideTurn]) -> SideFigures:
    """The distributions of one side; a turn that cut in is counted, and not timed."""
    timed = [turn for turn in turns if not turn.cut_ins]
    return SideFigures(
        first_audio_ms=distribution([turn.first_audio_ms for turn in timed]),
        first_frame_ms=distribution([turn.first_frame_ms for turn in timed]),
        wait_ms=distribution([turn.wait_ms for turn in timed]),
        work_ms=distribution([turn.work_ms for turn in timed]),
        unanswered=sum(turn.first_audio_ms is None for turn in turns),
        cut_ins=sum(turn.cut_ins for turn in turns),
        held=sum(turn.is_held for turn in turns),
    )


def ratios(per_turn: Mapping[str, Sequence[SideTurn]]) -> tuple[list[Ratio], list[Differing]]:
    """Ours against each other side, and the pairs that were left out."""
    found: list[Ratio | None] = []
    left_out: list[Differing] = []
    for theirs in ("sequential", "pipecat"):
        for ours in OURS:
            if ours not in per_turn or theirs not in per_turn:
                continue
            pairs = list(zip(per_turn[ours], per_turn[theirs], strict=True))
            same = [pair for pair in pairs if same_answer(*pair)]
            left_out += [Differing(ours, theirs, *pair) for pair in pairs if not same_answer(*pair)]
            if theirs == "sequential":
                found += frame_ratios(ours, theirs, same)
            else:
                found += [audio_ratio(ours, theirs, same), _not_held(ours, theirs, same)]
    return [one for one in found if one is not None], left_out


def _not_held(ours: str, theirs: str, pairs: Sequence[tuple[SideTurn, SideTurn]]) -> Ratio | None:
    at_once = [
        (our.first_audio_ms, their.first_audio_ms) for our, their in pairs if not their.is_held
    ]
    return ratio(at_once, ours=ours, theirs=theirs, to="first_audio", basis="not_held")


def print_report(report: CompareReport, console: Console) -> None:
    """The figures as tables."""
    console.print(f"{report.turns} turns a side, {report.device}")
    sides = Table("ms", "first sound", "first frame", "end of turn", "n",
                  box=None, pad_edge=False)  # fmt: skip
    for name, side in report.sides.items():
        sides.add_row(
            TITLES[name], _two(side.first_audio_ms), _two(side.first_frame_ms),
            f"{side.wait_ms.p50:.0f}", str(side.first_audio_ms.n),
        )  # fmt: skip
    console.print(sides)
    times = Table("times sooner", "to", "median", "95 %", "least – most", "n", "to reach",
                  box=None, pad_edge=False)  # fmt: skip
    for one in report.ratios:
        goal = TO_REACH.get((one.ours, one.theirs)) if one.basis == "as_measured" else None
        times.add_row(
            f"{TITLES[one.ours]} : {TITLES[one.theirs]}",
            f"{one.to.replace('_', ' ')}, {one.basis.replace('_', ' ')}", *_spread(one),
            f"{goal:g}" if goal else "",
        )  # fmt: skip
    for words in report.recognition.ratios if report.recognition else ():
        times.add_row(
            f"recognition : {words.theirs}", f"{len(words.clips_worse)} clips with a word worse",
            *_spread(words), f"{TO_REACH['halfsecond', words.theirs]:g}",
        )  # fmt: skip
    console.print(times)
    for note in notes(report):
        console.print(note, markup=False)  # "[peers]" is no style


def notes(report: CompareReport) -> list[str]:
    """What the ratios do not say: pairs left out, cut-ins, and sides that did not run."""
    said: list[str] = []
    for pair in report.differing:
        reason = "cut in" if cut_in(pair.our_turn, pair.their_turn) else "other words"
        said.append(
            f"left out ({reason}): {pair.our_turn.clip}, {TITLES[pair.ours]}: "
            f"{pair.our_turn.answer!r}; {TITLES[pair.theirs]}: {pair.their_turn.answer!r}"
        )
    if report.missing:
        said.append(missing_line(report.missing))
    return said


def missing_line(missing: Sequence[str]) -> str:
    """What to install for the sides that did not run."""
    return (
        f"{' and '.join(missing)} not found, so not compared with: pip install 'halfsecond[peers]'"
    )


def _two(d: Distribution) -> str:
    return f"{d.p50:.0f}, p95 {d.p95:.0f}" if d.n else "–"


def _spread(one: Ratio | RecognitionRatio) -> tuple[str, str, str, str]:
    low, high = one.interval
    return (
        f"{one.times:.1f}", f"{low:.1f} – {high:.1f}", f"{one.least:.1f} – {one.most:.1f}",
        str(one.n),
    )  # fmt: skip
