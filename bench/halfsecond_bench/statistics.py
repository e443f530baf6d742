"""Distributions as the reports give them, and what a figure was measured on."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec
import numpy as np
from scipy.stats import hypergeom

VERSIONS_OF = (
    "halfsecond", "numpy", "onnxruntime", "ctranslate2", "tokenizers", "hibari-tts",
    "opencv-python-headless", "pyzmq",
)  # fmt: skip


class Distribution(msgspec.Struct, frozen=True):
    """What is quoted of a set of measurements, in the unit that the key's name says."""

    p50: float
    p95: float
    max: float
    n: int


def distribution(values: Sequence[float | None]) -> Distribution:
    """Percentiles by linear interpolation; missing measurements lower `n`, none gives NaN."""
    known = [value for value in values if value is not None]
    if not known:
        return Distribution(math.nan, math.nan, math.nan, 0)
    p50, p95 = np.percentile(known, [50, 95])
    return Distribution(
        round(float(p50), 2), round(float(p95), 2), round(float(max(known)), 2), len(known)
    )


def wilson_interval(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a rate after Wilson (1927), which holds for few trials too."""
    if n == 0:
        return (0.0, 1.0)
    rate, spread = hits / n, z * z / n
    centre = (rate + spread / 2) / (1 + spread)
    half = z * math.sqrt(rate * (1 - rate) / n + spread / (4 * n)) / (1 + spread)
    return (max(0.0, centre - half), min(1.0, centre + half))


def chance_of_rise(hits_before: int, n_before: int, hits_after: int, n_after: int) -> float:
    """How likely so many hits or more are when the rate did not rise (Fisher's exact test)."""
    hits, n = hits_before + hits_after, n_before + n_after
    return float(hypergeom.sf(hits_after - 1, n, hits, n_after))


def device() -> str:
    """The machine in words: processor, cores that this process may use, memory."""
    cores = len(os.sched_getaffinity(0))
    return f"{_processor()}, {cores} cores, {_memory_gib():.0f} GiB, {platform.system()}"


def device_class(description: str) -> str:
    """What `device` says without the memory, which does not change how fast a turn is."""
    return ", ".join(part for part in description.split(", ") if not part.endswith(" GiB"))


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _memory_gib() -> float:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) / 1024**2
    return 0.0


def versions() -> dict[str, str]:
    """Versions of what does the work."""
    found = {"python": platform.python_version()}
    for name in VERSIONS_OF:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
