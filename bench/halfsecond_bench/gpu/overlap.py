"""Lip-sync beside another network: what two streams gain, and what the priority is worth."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from halfsecond.sessions import Priority
from halfsecond.sessions.cuda import Event
from halfsecond_bench.gpu.candidates import Candidate
from halfsecond_bench.gpu.figures import OverlapFigures
from halfsecond_bench.gpu.inputs import make_inputs
from halfsecond_bench.gpu.networks import WARM_UP, OpenGpu, Staged, open_on_gpu, staged

RUNS = 20
"""Of each network in one measurement: a second of lips in batches of five is five."""


@dataclass(frozen=True)
class _Pair:
    lips: Staged
    other: Staged


@dataclass(frozen=True)
class _Times:
    """Milliseconds: the lips alone, the other alone; of both at once, the lips and all."""

    lips: float
    other: float
    lips_beside: float
    both: float


def check_overlap(
    lips: Candidate, other: Candidate, *, rounds: int, open_gpu: OpenGpu
) -> OverlapFigures:
    """Medians over rounds; the lips first at high priority, then at low.

    Raises HalfsecondError where one of them cannot run.
    """
    high = _measure(lips, other, "high", rounds, open_gpu)
    low = _measure(lips, other, "low", rounds, open_gpu)
    return OverlapFigures(
        lips=lips.name,
        beside=other.name,
        lips_alone_ms=high.lips / RUNS,
        lips_beside_high_ms=high.lips_beside / RUNS,
        lips_beside_low_ms=low.lips_beside / RUNS,
        one_after_the_other_ms=high.lips + high.other,
        at_once_ms=high.both,
    )


def _measure(
    lips: Candidate, other: Candidate, priority: Priority, rounds: int, open_gpu: OpenGpu
) -> _Times:
    with ExitStack() as stack:
        pair = _Pair(
            _staged(stack, lips, priority, open_gpu), _staged(stack, other, "low", open_gpu)
        )
        for _ in range(WARM_UP):
            pair.lips.launch()
            pair.other.launch()
        times = [_once(pair) for _ in range(rounds)]
    return _Times(*(float(np.median(column)) for column in zip(*times, strict=True)))


def _staged(
    stack: ExitStack, candidate: Candidate, priority: Priority, open_gpu: OpenGpu
) -> Staged:
    session = stack.enter_context(open_on_gpu(candidate.path, open_gpu=open_gpu, priority=priority))
    profiles = candidate.artifact.profiles if candidate.artifact else {}
    inputs = make_inputs(session.inputs, profiles)
    return staged(session, inputs, session.run(inputs))


def _once(pair: _Pair) -> tuple[float, float, float, float]:
    alone = (_alone(pair.lips), _alone(pair.other))
    cuda = pair.lips.session.cuda
    lips, other = pair.lips.session.stream, pair.other.session.stream
    begin = cuda.record(lips.handle)
    cuda.make_wait(other.handle, begin)
    # The other's work is queued first, as a language model's is when the lips' batch comes.
    for work in (pair.other, pair.lips):
        for _ in range(RUNS):
            work.launch()
    lips_end, other_end = cuda.record(lips.handle), cuda.record(other.handle)
    beside = lips_end.ms_since(begin)
    both = max(beside, other_end.ms_since(begin))
    _close(begin, lips_end, other_end)
    return (*alone, beside, both)


def _alone(work: Staged) -> float:
    cuda, stream = work.session.cuda, work.session.stream.handle
    before = cuda.record(stream)
    for _ in range(RUNS):
        work.launch()
    after = cuda.record(stream)
    took_ms = after.ms_since(before)
    _close(before, after)
    return took_ms


def _close(*events: Event) -> None:
    for event in events:
        event.close()
