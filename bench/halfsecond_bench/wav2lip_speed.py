"""How fast Wav2Lip draws frames on this CPU: precisions, batches and threads, in one run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np

from halfsecond.models.lipsync.wav2lip_network import Wav2LipNetwork
from halfsecond_bench.statistics import device, distribution, versions
from halfsecond_export.wav2lip.untrained import (
    random_inputs,
    write_untrained,
    write_untrained_int8,
)

NEEDED_FPS = 25


@dataclass
class _Case:
    precision: str
    threads: int
    batch: int
    network: Wav2LipNetwork
    frame_ms: list[float] = field(default_factory=list[float])

    def run(self, clock: Callable[[], float]) -> None:
        sound, face = random_inputs(self.batch)
        started = clock()
        self.network.draw(sound, face)
        self.frame_ms.append((clock() - started) * 1000.0 / self.batch)

    def report(self) -> dict[str, Any]:
        median = float(np.median(self.frame_ms))
        return {
            "precision": self.precision,
            "threads": self.threads,
            "batch": self.batch,
            "frame_ms": msgspec.to_builtins(distribution(self.frame_ms)),
            "fps": round(1000.0 / median, 1),
        }


def measure(
    *,
    batches: Sequence[int] = (1, 2, 5),
    threads: Sequence[int] = (1, 2),
    rounds: int = 12,
    models: dict[str, Path] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Any]:
    """Times a frame of the network, crops in to pictures out, without pasting.

    models: ONNX files by what to call them; without them the published graph with random weights
    as "fp32" and "int8". The cases take turns in every round, so that another load on the machine
    meets all of them. The first round is not counted.

    Gives `cases` (milliseconds a frame as {p50, p95, max, n}), `speedup` (the first file's median
    over each other one's, per threads and batch), `device` and `versions`; JSON can hold it.
    """
    with TemporaryDirectory() as folder:
        files = models or _write_models(Path(folder))
        cases = [
            _Case(precision, thread_count, batch, network)
            for precision, path in files.items()
            for thread_count in threads
            for network in [Wav2LipNetwork(path, threads=thread_count)]
            for batch in batches
        ]
    for round_number in range(rounds + 1):
        for case in cases:
            case.run(clock)
            if round_number == 0:
                case.frame_ms.clear()
    return {
        "device": device(),
        "versions": versions() | {"onnx": version("onnx")},
        "needed_fps": NEEDED_FPS,
        "cases": [case.report() for case in cases],
        "speedup": _speedups(cases),
    }


def _write_models(folder: Path) -> dict[str, Path]:
    files = {"fp32": folder / "fp32.onnx", "int8": folder / "int8.onnx"}
    write_untrained(files["fp32"])
    write_untrained_int8(files["int8"])
    return files


def _speedups(cases: list[_Case]) -> list[dict[str, Any]]:
    first = {(c.threads, c.batch): c for c in cases if c.precision == cases[0].precision}
    return [
        {
            "precision": case.precision,
            "threads": case.threads,
            "batch": case.batch,
            "times": round(
                float(
                    np.median(first[case.threads, case.batch].frame_ms) / np.median(case.frame_ms)
                ),
                2,
            ),
        }
        for case in cases
        if case.precision != cases[0].precision
    ]
