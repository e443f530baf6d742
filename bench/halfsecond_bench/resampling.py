"""How sure a quantile is, and what noise alone does to a comparison: by drawing turns again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

ROUNDS = 10_000
"""Draws: a bound that 1 in 500 exceeds rests on 20 of them."""

Groups = Mapping[str, Sequence[float]]
"""The values of each question, which are alike: its turns stay together."""

Floats = NDArray[np.float64]


def quantile_interval(
    groups: Groups, quantile: float, *, confidence: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """The interval of a quantile over all values, by drawing questions with replacement.

    Efron's percentile interval (1979); it is wider than one over turns where questions differ.
    """
    rows = list(groups.values())
    table = np.full((len(rows), max(map(len, rows))), np.nan)
    for row, values in zip(table, rows, strict=True):
        row[: len(values)] = values
    chosen = np.random.default_rng(seed).integers(0, len(rows), (ROUNDS, len(rows)))
    drawn = _quantiles(table[chosen].reshape(ROUNDS, -1), quantile)
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def paired_change(before: Groups, after: Groups, *, seed: int = 0) -> tuple[float, Floats]:
    """How much slower a question became, and (ROUNDS,) what noise alone makes of it.

    The change is the mean, over the questions that both runs asked, of the difference of the
    question's medians: questions differ more than runs do, and that cancels here.

    If nothing changed, it does not matter which run a turn of a question came from: each round
    deals a question's turns out again to the two runs (Fisher's randomization test, 1935). Of
    runs that are alike, the given share exceeds a quantile of the noise, whatever its shape.
    """

    def change(x: list[Floats], y: list[Floats]) -> Floats:
        differences = [
            np.median(b, axis=1) - np.median(a, axis=1) for a, b in zip(x, y, strict=True)
        ]
        return np.asarray(np.mean(differences, axis=0), np.float64)

    measured, dealt = _deal(before, after, seed)
    return float(change(*measured)[0]), change(*dealt)


def tail_change(
    before: Groups, after: Groups, quantile: float, *, seed: int = 0
) -> tuple[float, Floats]:
    """The difference of a quantile over all turns, and (ROUNDS,) what noise alone makes of it."""

    def change(x: list[Floats], y: list[Floats]) -> Floats:
        return _quantiles(np.hstack(y), quantile) - _quantiles(np.hstack(x), quantile)

    measured, dealt = _deal(before, after, seed)
    return float(change(*measured)[0]), change(*dealt)


Runs = tuple[list[Floats], list[Floats]]
"""Per question (rounds, turns), before and after."""


def _deal(before: Groups, after: Groups, seed: int) -> tuple[Runs, Runs]:
    """Both runs as measured (one round), and with each question's turns dealt out again."""
    rng = np.random.default_rng(seed)
    measured: Runs = ([], [])
    dealt: Runs = ([], [])
    for name in sorted(before.keys() & after.keys()):
        values = np.array([[*before[name], *after[name]]], np.float64)
        order = rng.random((ROUNDS, values.shape[1])).argsort(axis=1)
        for (x, y), turns in ((measured, values), (dealt, values[0][order])):
            x.append(turns[:, : len(before[name])])
            y.append(turns[:, len(before[name]) :])
    return measured, dealt


def _quantiles(values: Floats, quantile: float) -> Floats:
    """(rounds,) of (rounds, values) with NaN for none: numpy's linear rule, all rows at once."""
    ordered = np.sort(values, axis=1)
    position = quantile * (np.isfinite(ordered).sum(axis=1) - 1)
    below = np.floor(position).astype(int)
    rows = np.arange(len(ordered))
    low, high = ordered[rows, below], ordered[rows, np.ceil(position).astype(int)]
    result: Floats = low + (high - low) * (position - below)
    return result
