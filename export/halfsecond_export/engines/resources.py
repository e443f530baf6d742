"""Memory and disk that a build needs, looked at before it starts."""

from __future__ import annotations

import shutil
from pathlib import Path

from halfsecond.errors import EngineBuildError

MEMINFO = Path("/proc/meminfo")

# Peak of the command on x86-64, which is above that of the process that builds: 1.4 GB for Wav2Lip
# (145 MB), 0.6 GB for a Piper voice (63 MB), 0.5 GB for hibari (8 MB, quantised). Too little and a
# build is killed half-way, too much and a small board is refused what it could do.
_BASE_BYTES = 500_000_000
_MEMORY_PER_NETWORK_BYTE = 10

# A rewritten network and the engine, of which none was larger than its network and 15 %.
_DISK_PER_NETWORK_BYTE = 2.5
_DISK_BASE_BYTES = 32_000_000


def check_memory(network_bytes: int, *, workspace_bytes: int = 0, meminfo: Path = MEMINFO) -> None:
    """Raises EngineBuildError where the machine has less free memory than the build will take.

    What counts is MemAvailable: on a board whose GPU shares it, CUDA's own figure is too low.
    """
    needed = _BASE_BYTES + _MEMORY_PER_NETWORK_BYTE * network_bytes + workspace_bytes
    available = _available_bytes(meminfo)
    if available < needed:
        raise EngineBuildError(
            f"the build needs about {needed / 1e9:.1f} GB of memory, {available / 1e9:.1f} GB are "
            "available; stop what else runs, or add swap, and build again"
        )


def check_disk(directory: Path, network_bytes: int) -> None:
    """Raises EngineBuildError where the disk under a directory has no room for the build."""
    needed = _DISK_BASE_BYTES + int(_DISK_PER_NETWORK_BYTE * network_bytes)
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise EngineBuildError(
            f"the build needs about {needed / 1e6:.0f} MB in {directory}, {free / 1e6:.0f} MB are "
            "free; make room, or choose another disk with --home"
        )


def _available_bytes(meminfo: Path) -> int:
    for line in meminfo.read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise EngineBuildError(f"{meminfo} says nothing of MemAvailable; is this Linux?")
