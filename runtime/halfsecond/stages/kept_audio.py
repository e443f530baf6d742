"""The newest audio of a stream, to be read again by sample number."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class KeptAudio:
    """The last seconds of a mono stream, in one buffer that never grows.

    capacity_samples: how many of the newest samples are kept.
    """

    def __init__(self, capacity_samples: int) -> None:
        self._ring = np.zeros(capacity_samples, np.float32)
        self._end = 0

    @property
    def end_sample(self) -> int:
        """Just after the newest sample of the stream."""
        return self._end

    def append(self, samples: NDArray[np.float32]) -> None:
        """Takes (n,) samples that follow those before."""
        size = len(self._ring)
        newest = samples[-size:]
        at = (self._end + len(samples) - len(newest)) % size
        head = newest[: size - at]
        self._ring[at : at + len(head)] = head
        self._ring[: len(newest) - len(head)] = newest[len(head) :]
        self._end += len(samples)

    def read(self, from_sample: int, to_sample: int | None = None) -> NDArray[np.float32]:
        """(n,) the samples between two of the stream, a copy, as far as they are still kept.

        to_sample: just after the last; None for the newest.
        """
        size = len(self._ring)
        end = self._end if to_sample is None else min(to_sample, self._end)
        start = max(from_sample, self._end - size, 0)
        if end <= start:
            return np.zeros(0, np.float32)
        at = start % size
        head = self._ring[at : at + end - start]
        rest = end - start - len(head)
        return np.concatenate([head, self._ring[:rest]])
