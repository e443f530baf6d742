"""Contours pulled from where the landmarks guess them to where the picture has them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


def best_path(score: NDArray[np.floating]) -> NDArray[np.intp]:
    """(columns,) row of the path from left to right with the highest sum, one row a step."""
    rows, columns = score.shape
    total = score[:, 0].astype(np.float64)
    came = np.zeros((rows, columns), np.intp)
    for column in range(1, columns):
        padded = np.pad(total, 1, constant_values=-np.inf)
        options = np.stack([padded[:-2], padded[1:-1], padded[2:]])
        choice = options.argmax(axis=0)
        came[:, column] = np.arange(rows) + choice - 1
        total = options.max(axis=0) + score[:, column]
    path = np.zeros(columns, np.intp)
    path[-1] = int(total.argmax())
    for column in range(columns - 1, 0, -1):
        path[column - 1] = came[path[column], column]
    return path


def smooth_offsets(offsets: Array, weights: Array, *, degree: int = 5) -> Array:
    """A polynomial along the contour through its offsets; stray columns lose their say."""
    at = np.linspace(-1.0, 1.0, len(offsets))
    trust = weights.astype(np.float64) + 1e-3
    fitted = np.zeros(len(offsets))
    for _ in range(3):
        shape = np.polynomial.Polynomial.fit(at, offsets, degree, w=np.sqrt(trust))
        fitted = shape(at)
        miss = np.abs(offsets - fitted)
        trust = weights / (1.0 + (miss / (1e-3 + 1.5 * float(np.median(miss)))) ** 2) + 1e-3
    return fitted
