"""One network on the CPU and on the GPU: how far apart its outputs are, and how long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from halfsecond.errors import HalfsecondError
from halfsecond.sessions import Priority, Session, open_session
from halfsecond.sessions.cuda import Cuda
from halfsecond.sessions.device_array import DeviceArray
from halfsecond.sessions.on_device import OnDevice
from halfsecond.sessions.session import Array
from halfsecond_bench.gpu.candidates import Candidate
from halfsecond_bench.gpu.figures import NetworkFigures
from halfsecond_bench.gpu.inputs import make_inputs
from halfsecond_bench.statistics import Distribution, distribution

Arrays = dict[str, Array]
OpenGpu = Callable[[], Cuda]
Clock = Callable[[], float]

TOLERANCES = {"fp32": 1e-2, "fp16": 3e-2, "int8": 0.2, "int8_fp16": 0.2}
"""Relative errors up to which a GPU computes "the same". Not measured on one: float32 convolutions
and products run in TF32 there, with ten bits of mantissa (0.001 a product); float16 loses as much
in each layer; rounding at the edges of INT8 steps falls either way."""

WARM_UP = 3
"""Runs before a measurement: ONNX Runtime captures a graph in its third."""


@dataclass
class Staged:
    """A session on the GPU with its input and room for its output lying there."""

    session: OnDevice
    inputs: dict[str, DeviceArray]
    outputs: dict[str, DeviceArray]

    def launch(self) -> None:
        """Queues one run on the session's own stream."""
        self.session.launch(self.inputs, self.outputs, stream=self.session.stream.handle)


def check(
    candidate: Candidate, *, rounds: int, open_gpu: OpenGpu, clock: Clock = time.perf_counter
) -> NetworkFigures:
    """Runs a candidate on both, and says why where that cannot be done."""
    if candidate.is_of_the_cpu:
        return _not_run(candidate, "written in operators of the CPU; export or fetch another form")
    try:
        return _checked(candidate, rounds, open_gpu, clock)
    except HalfsecondError as error:
        return _not_run(candidate, str(error))
    except Exception as error:
        # ONNX Runtime raises a class of its own per status code: an input that does not fit.
        return _not_run(candidate, f"{type(error).__name__}: {error}")


def _checked(candidate: Candidate, rounds: int, open_gpu: OpenGpu, clock: Clock) -> NetworkFigures:
    profiles = candidate.artifact.profiles if candidate.artifact else {}
    with open_on_gpu(candidate.path, open_gpu=open_gpu) as session:
        inputs = make_inputs(session.inputs, profiles)
        found = session.run(inputs)
        expected, is_random, cpu_ms = _on_cpu(candidate, inputs, rounds, clock)
        gpu_ms = _timed(lambda: session.run(inputs), rounds, clock)
        device_ms = event_times(staged(session, inputs, found), rounds)
        runs_on = session.runs_on
    errors = _errors(expected, found) if expected and not is_random else None
    tolerance = TOLERANCES.get(candidate.precision, TOLERANCES["fp32"])
    is_same = errors is not None and errors[1] <= tolerance
    return NetworkFigures(
        name=candidate.name,
        precision=candidate.precision,
        runs_on=runs_on,
        outcome="ran" if errors is None else "same" if is_same else "differs",
        detail=_detail(expected, is_random, errors, tolerance),
        largest_error=errors[0] if errors else None,
        relative_error=errors[1] if errors else None,
        cpu_ms=cpu_ms,
        gpu_ms=gpu_ms,
        device_ms=device_ms,
        graph_ms=_graph_times(candidate, inputs, found, rounds, open_gpu),
    )


@contextmanager
def open_on_gpu(
    path: Path, *, open_gpu: OpenGpu, priority: Priority = "low", is_graphed: bool = False
) -> Iterator[OnDevice]:
    """A session that runs on the GPU and nowhere else; closed afterwards."""
    session = open_session(
        path, device="cuda", priority=priority, is_graphed=is_graphed, open_gpu=open_gpu
    )
    with session:
        assert isinstance(session, OnDevice), "a session that was asked for CUDA runs there"
        yield session


def staged(session: OnDevice, inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> Staged:
    """Leaves the input on the GPU, and room for outputs of these shapes."""

    def on_gpu(values: Array) -> DeviceArray:
        place = session.buffer(values.shape, values.dtype).view(values.shape)
        given = np.ascontiguousarray(values)
        session.cuda.upload(place.pointer, given.ctypes.data, given.nbytes, session.stream.handle)
        session.stream.synchronize()
        return place

    return Staged(
        session,
        {name: on_gpu(values) for name, values in inputs.items()},
        {name: on_gpu(values) for name, values in outputs.items()},
    )


def event_times(work: Staged, rounds: int) -> Distribution:
    """Milliseconds of a run between two events, nothing of the host in them but its launch."""
    for _ in range(WARM_UP):
        work.launch()
    return _between_events(work.session, work.launch, rounds)


def _graph_times(
    candidate: Candidate,
    inputs: Mapping[str, Array],
    outputs: Mapping[str, Array],
    rounds: int,
    open_gpu: OpenGpu,
) -> Distribution | None:
    """The same as a CUDA graph; None where a part of it runs on the CPU."""
    with open_on_gpu(candidate.path, open_gpu=open_gpu, is_graphed=True) as session:
        work = staged(session, inputs, outputs)
        if not session.can_replay:
            return None
        for _ in range(WARM_UP):
            work.launch()
        session.stream.synchronize()
        if candidate.form != "engine":
            return _between_events(session, work.launch, rounds)  # ONNX Runtime replays its own
        graph = session.cuda.capture(session.stream, work.launch)
        times = _between_events(session, lambda: graph.launch(session.stream), rounds)
        graph.close()
        return times


def _between_events(session: OnDevice, work: Callable[[], None], rounds: int) -> Distribution:
    cuda, stream = session.cuda, session.stream.handle
    times: list[float | None] = []
    for _ in range(rounds):
        before = cuda.record(stream)
        work()
        after = cuda.record(stream)
        times.append(after.ms_since(before))
        before.close()
        after.close()
    return distribution(times)


def _on_cpu(
    candidate: Candidate, inputs: Arrays, rounds: int, clock: Clock
) -> tuple[Arrays, bool, Distribution | None]:
    """Outputs of the CPU, whether they differ from run to run, and its times.

    No outputs for an engine whose network is not there any more.
    """
    path = candidate.on_cpu
    if path is None:
        return {}, False, None
    with open_session(path) as session:
        given = _as_wanted(session, inputs)
        first = session.run(given)
        errors = _errors(first, session.run(given))
        times = _timed(lambda: session.run(given), rounds, clock)
    return first, errors is not None and errors[1] > 1e-6, times


def _as_wanted(session: Session, inputs: Arrays) -> Arrays:
    """In the types of the source: an engine may have half inputs where its network has not."""
    types = {tensor.name: tensor.dtype for tensor in session.inputs}
    return {name: np.asarray(inputs[name], types[name]) for name in types if name in inputs}


def _errors(expected: Arrays, found: Arrays) -> tuple[float, float] | None:
    """Largest and relative error of the worst output that both have."""
    largest = relative = 0.0
    shared = [name for name in expected if name in found]
    for name in shared:
        true = expected[name].astype(np.float64)
        if true.shape != found[name].shape:
            return float("inf"), float("inf")
        error = found[name].astype(np.float64) - true
        largest = max(largest, float(np.abs(error).max(initial=0.0)))
        length = float(np.linalg.norm(error)) / max(float(np.linalg.norm(true)), 1e-12)
        # A NaN is larger than any tolerance, and max() would pass it over.
        relative = float("inf") if np.isnan(length) else max(relative, length)
    return (largest, relative) if shared else None


def _detail(expected: Arrays, is_random: bool, errors: Any, tolerance: float) -> str:
    if not expected:
        return "the network that it was built from is not here to compare with"
    if is_random:
        return "draws random numbers: it differs from run to run on the CPU too"
    if errors is None:
        return "no output of its network has a name of its own"
    return "" if errors[1] <= tolerance else f"relative error above {tolerance:g}"


def _timed(call: Callable[[], object], rounds: int, clock: Clock) -> Distribution:
    times: list[float | None] = []
    for _ in range(rounds):
        started_s = clock()
        call()
        times.append(1000 * (clock() - started_s))
    return distribution(times)


def _not_run(candidate: Candidate, why: str) -> NetworkFigures:
    return NetworkFigures(
        name=candidate.name,
        precision=candidate.precision,
        runs_on="",
        outcome="not run",
        detail=why,
    )
