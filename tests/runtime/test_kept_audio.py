"""The newest samples of a stream, whatever blocks they came in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from halfsecond.stages.kept_audio import KeptAudio

CAPACITY = 10


def counted(first: int, end: int) -> NDArray[np.float32]:
    """Samples that say where in the stream they are."""
    return np.arange(first, end, dtype=np.float32)


def filled(block_sizes: list[int]) -> KeptAudio:
    kept = KeptAudio(CAPACITY)
    for size in block_sizes:
        kept.append(counted(kept.end_sample, kept.end_sample + size))
    return kept


@given(blocks=st.lists(st.integers(0, 25), max_size=8), data=st.data())
def test_what_is_read_lies_where_it_was_in_the_stream(
    blocks: list[int], data: st.DataObject
) -> None:
    kept, end = filled(blocks), sum(blocks)
    start = data.draw(st.integers(0, end + 3))
    stop = data.draw(st.none() | st.integers(0, end + 3))
    oldest = max(0, end - CAPACITY)
    expected = counted(max(start, oldest), end if stop is None else min(stop, end))
    assert kept.end_sample == end
    np.testing.assert_array_equal(kept.read(start, stop), expected)


@pytest.mark.parametrize("first", [0, 7])
def test_what_was_read_stays_when_more_comes(first: int) -> None:
    kept = filled([first, 5])
    read = kept.read(first)
    kept.append(np.full(CAPACITY, -1, np.float32))
    np.testing.assert_array_equal(read, counted(first, first + 5))
