"""A side's turns, and the ratios between two sides' turns on the same recordings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
import numpy as np

from halfsecond_bench.wer import spoken_words

RESAMPLES = 2000
"""Of the bootstrap; more changes the interval's second digit at most."""

Basis = Literal["as_measured", "same_wait", "waits_off", "not_held"]
"""What the two times are counted from, as the package's page says; `not_held` is as measured, over
the questions that the other side's turn model took for finished at once."""


class SideTurn(msgspec.Struct, frozen=True, kw_only=True):
    """What one side did with one recording; milliseconds after the last sample of speech."""

    clip: str
    first_audio_ms: float | None = None
    first_frame_ms: float | None = None
    wait_ms: float | None = None
    """When it took the visitor's turn for finished."""
    work_ms: float | None = None
    """From the start of the recognition that the answer rests on to the first frame."""
    heard: str = ""
    answer: str = ""
    cut_ins: int = 0
    """Answers that it began before the question was over."""
    is_held: bool = False
    """Its turn model took the question for unfinished at first, and waited for more."""


class Ratio(msgspec.Struct, frozen=True, kw_only=True):
    """How many times sooner `ours` is than `theirs`, over pairs of turns on one recording."""

    ours: str
    theirs: str
    to: Literal["first_frame", "first_audio"]
    basis: Basis
    times: float
    """The median of the pairs' ratios."""
    interval: tuple[float, float]
    """95 % of the medians of resampled pairs (bootstrap)."""
    least: float
    most: float
    n: int


def same_answer(ours: SideTurn, theirs: SideTurn) -> bool:
    """Whether both said the same words, and neither cut in."""
    words = spoken_words(ours.answer)
    return bool(words) and words == spoken_words(theirs.answer) and not cut_in(ours, theirs)


def cut_in(*turns: SideTurn) -> bool:
    """Whether one of them began to answer before the question was over."""
    return any(turn.cut_ins for turn in turns)


def frame_ratios(ours: str, theirs: str, pairs: Sequence[tuple[SideTurn, SideTurn]]) -> list[Ratio]:
    """The three ratios to the first frame, as the package's page says; fewer without figures."""
    bases: dict[Basis, tuple[Callable[[SideTurn], float | None], _Theirs]] = {
        "as_measured": (lambda our: our.first_frame_ms, lambda _, their: their.first_frame_ms),
        "same_wait": (lambda our: our.first_frame_ms, _with_our_wait),
        "waits_off": (lambda our: our.work_ms, lambda _, their: their.work_ms),
    }
    found = [
        ratio(
            [(of_ours(our), of_theirs(our, their)) for our, their in pairs],
            ours=ours, theirs=theirs, to="first_frame", basis=basis,
        )
        for basis, (of_ours, of_theirs) in bases.items()
    ]  # fmt: skip
    return [one for one in found if one is not None]


_Theirs = Callable[[SideTurn, SideTurn], "float | None"]


def _with_our_wait(ours: SideTurn, theirs: SideTurn) -> float | None:
    if ours.wait_ms is None or theirs.work_ms is None:
        return None
    return ours.wait_ms + theirs.work_ms


def audio_ratio(ours: str, theirs: str, pairs: Sequence[tuple[SideTurn, SideTurn]]) -> Ratio | None:
    """The ratio to the first sound that can be heard."""
    return ratio(
        [(our.first_audio_ms, their.first_audio_ms) for our, their in pairs],
        ours=ours, theirs=theirs, to="first_audio", basis="as_measured",
    )  # fmt: skip


def ratio(
    pairs: Sequence[tuple[float | None, float | None]],
    *,
    ours: str,
    theirs: str,
    to: Literal["first_frame", "first_audio"],
    basis: Basis,
    seed: int = 0,
) -> Ratio | None:
    """The ratio over those pairs (ours, theirs) in which both were measured; None without any."""
    times = [their / our for our, their in pairs if our and their]
    if not times:
        return None
    low, high = bootstrap_median(times, seed=seed)
    return Ratio(
        ours=ours, theirs=theirs, to=to, basis=basis,
        times=round(float(np.median(times)), 2), interval=(round(low, 2), round(high, 2)),
        least=round(min(times), 2), most=round(max(times), 2), n=len(times),
    )  # fmt: skip


def bootstrap_median(values: Sequence[float], *, seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of the median by resampling with replacement."""
    drawn = np.random.default_rng(seed).choice(values, (RESAMPLES, len(values)))
    low, high = np.percentile(np.median(drawn, axis=1), [2.5, 97.5])
    return float(low), float(high)
