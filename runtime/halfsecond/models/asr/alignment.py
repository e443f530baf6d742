"""When each token was said: dynamic time warping over where the decoder looked.

Method and constants: OpenAI, Whisper, `whisper/timing.py`.
"""

from __future__ import annotations

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

MEDIAN_POSITIONS = 7
"""Width of the filter over positions, against looks that jump."""


def token_starts(looks: NDArray[np.float32]) -> list[int]:
    """The first position of each token.

    looks: (heads, tokens, positions), how much of its attention each token gave to each position.
    """
    looks = looks / np.maximum(looks.sum(-1, keepdims=True), 1e-12)
    looks = (looks - looks.mean(-2, keepdims=True)) / (looks.std(-2, keepdims=True) + 1e-12)
    looks = scipy.ndimage.median_filter(looks, size=(1, 1, MEDIAN_POSITIONS), mode="mirror")
    return cheapest_path(-looks.mean(0))


def cheapest_path(cost: NDArray[np.floating]) -> list[int]:
    """The column at which the cheapest way through `cost` (rows, columns) enters each row.

    A way begins at the first cell, ends at the last, and goes right, down, or both at once.
    """
    rows, columns = cost.shape
    total = np.full((rows + 1, columns + 1), np.inf)
    total[0, 0] = 0.0
    for row, costs in enumerate(cost.astype(np.float64)):
        # A cell is entered from the row above and left to the right any number of times: the sum
        # of a row's costs up to a cell, plus the least of what entering it before would have cost.
        run = np.cumsum(costs)
        above = np.minimum(total[row, :-1], total[row, 1:])
        total[row + 1, 1:] = run + np.minimum.accumulate(above - (run - costs))
    starts = [0] * rows
    row, column = rows, columns
    while row > 0 and column > 0:
        starts[row - 1] = column - 1
        both, down, right = (
            total[row - 1, column - 1],
            total[row - 1, column],
            total[row, column - 1],
        )
        if both <= down and both <= right:
            row, column = row - 1, column - 1
        elif down <= right:
            row -= 1
        else:
            column -= 1
    return starts
