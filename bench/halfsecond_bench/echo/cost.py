"""What an echo canceller takes of a machine; in a process of its own, as memory is only told so."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from halfsecond.models.echo.canceller import EchoCanceller
from halfsecond.models.echo.registry import open_canceller
from halfsecond_bench.echo.report import CostFigures
from halfsecond_bench.echo.room import ROOMS, at_level, room_tone
from halfsecond_bench.statistics import distribution

RATE_HZ = 16_000
BLOCK = 320
FRAMES_A_BLOCK = 2
SESSIONS = 8
SECONDS = 20
GROUP = 50
"""Blocks that one value of the distribution is the mean of: 1 s."""


def measure(kind: str) -> CostFigures:
    """The figures of a canceller, from a fresh process."""
    command = [sys.executable, "-m", "halfsecond_bench.echo.cost", kind]
    done = subprocess.run(command, capture_output=True, check=True)  # noqa: S603
    return msgspec.json.decode(done.stdout, type=CostFigures)


def _measure_here(kind: str) -> CostFigures:
    reference = _played()
    microphone = at_level(ROOMS[1].echo(reference), -32.0) + room_tone(len(reference), seed=0)
    before_mb, started_s = _resident_mb(), time.perf_counter()
    canceller = open_canceller(kind)
    import_ms = 1000 * (time.perf_counter() - started_s)
    took_us = _times(canceller, microphone, reference)
    first_mb = _resident_mb() - before_mb
    others = [open_canceller(kind) for _ in range(SESSIONS)]
    for other in others:
        _times(other, microphone[: 2 * RATE_HZ], reference[: 2 * RATE_HZ])
    return CostFigures(
        frame_us=distribution(took_us),
        import_ms=round(import_ms, 1),
        first_mb=round(first_mb, 1),
        session_mb=round((_resident_mb() - before_mb - first_mb) / SESSIONS, 2),
    )


def _times(
    canceller: EchoCanceller, microphone: NDArray[np.float32], reference: NDArray[np.float32]
) -> Sequence[float]:
    """Processor time of a frame, a value for each second of sound."""
    took_us = []
    for second in range(0, len(microphone), GROUP * BLOCK):
        before_s = time.process_time()
        for start in range(second, second + GROUP * BLOCK, BLOCK):
            canceller.process(microphone[start : start + BLOCK], reference[start : start + BLOCK])
        took_us.append(1e6 * (time.process_time() - before_s) / (GROUP * FRAMES_A_BLOCK))
    return took_us


def _played() -> NDArray[np.float32]:
    """Noise in syllables: as loud as speech, and never silent for long."""
    at_s = np.arange(SECONDS * RATE_HZ) / RATE_HZ
    noise = np.random.default_rng(0).normal(0, 0.1, len(at_s))
    return (noise * (0.55 + 0.45 * np.sin(2 * np.pi * 4 * at_s))).astype(np.float32)


def _resident_mb() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(_measure_here(sys.argv[1])))
