"""How many threads make a model fastest on this machine, measured."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence

Run = Callable[[], object]


def candidates() -> list[int]:
    """1, 2, 4 … up to the cores that this process may use."""
    cores = len(os.sched_getaffinity(0))
    return [2**power for power in range(cores.bit_length()) if 2**power <= cores]


def fastest(
    counts: Sequence[int],
    make: Callable[[int], Run],
    *,
    rounds: int = 3,
    now: Callable[[], float] = time.perf_counter,
) -> int:
    """The count with the fastest call; `make` gives a call with that many threads.

    The counts take turns, and the first round is not counted. The least time is looked at: what
    else runs for a moment makes calls slower, and those on all cores more than others.
    """
    if len(counts) == 1:
        return counts[0]
    runs = {count: make(count) for count in counts}
    times: dict[int, list[float]] = {count: [] for count in counts}
    for _ in range(rounds + 1):
        for count, run in runs.items():
            began = now()
            run()
            times[count].append(now() - began)
    return min(counts, key=lambda count: min(times[count][1:]))
