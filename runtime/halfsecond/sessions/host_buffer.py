"""Fixed buffers in the memory of the host."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from halfsecond.sessions.session import Array, Buffer


class HostBuffer:
    """A `Buffer` that is a numpy array; pages that are not used take no memory."""

    def __init__(self, shape: Sequence[int], dtype: Any) -> None:
        self._values: Array = np.zeros(shape, dtype)
        self._flat = self._values.reshape(-1)

    @property
    def shape(self) -> tuple[int, ...]:
        return self._values.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._values.dtype

    def view(self, shape: Sequence[int]) -> Array:
        """See `Buffer.view`."""
        values: Array = self._flat[: math.prod(shape)]
        return values.reshape(shape)

    def paste(
        self, source: Buffer, *, shape: Sequence[int], axis: int, begin: int, end: int
    ) -> None:
        """See `Buffer.paste`."""
        place = (slice(None),) * axis + (slice(begin, end),)
        given = source.view(shape)
        assert isinstance(given, np.ndarray), "a buffer of the host takes what lies on the host"
        self._values[place] = given[place]

    def read(self, shape: Sequence[int]) -> Array:
        """See `Buffer.read`."""
        values: Array = self.view(shape).copy()
        return values
