"""Time warping: the cheapest way through a table of costs."""

from __future__ import annotations

from itertools import product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from halfsecond.models.asr.alignment import cheapest_path, token_starts


def ways(rows: int, columns: int, at: tuple[int, int] = (0, 0)) -> list[list[tuple[int, int]]]:
    """Every way from `at` to the last cell."""
    if at == (rows - 1, columns - 1):
        return [[at]]
    found = []
    for down, right in ((1, 0), (0, 1), (1, 1)):
        step = (at[0] + down, at[1] + right)
        if step[0] < rows and step[1] < columns:
            found += [[at, *way] for way in ways(rows, columns, step)]
    return found


@given(rows=st.integers(1, 4), columns=st.integers(1, 5), seed=st.integers(0, 10_000))
def test_no_way_is_cheaper(rows: int, columns: int, seed: int) -> None:
    cost = np.random.default_rng(seed).normal(size=(rows, columns))
    all_ways = ways(rows, columns)
    totals = [sum(cost[cell] for cell in way) for way in all_ways]
    best = all_ways[int(np.argmin(totals))]
    assert cheapest_path(cost) == [min(c for r, c in best if r == row) for row in range(rows)]


def test_tokens_begin_where_the_heads_look() -> None:
    """Three tokens that look at 10, 30 and 60 of 80 positions; one head in four looks elsewhere."""
    looks = np.full((4, 3, 80), 1e-3, np.float32)
    for head, (token, position) in product(range(3), enumerate((10, 30, 60))):
        looks[head, token, position - 4 : position + 5] = 0.1
    looks[3, :, 70:] = 0.1
    starts = token_starts(looks)
    assert starts[0] == 0
    assert 10 < starts[1] <= 30 < starts[2] <= 60
