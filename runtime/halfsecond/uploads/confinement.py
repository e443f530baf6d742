"""What a process that opens strangers' files gives up first."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

MEMORY_BYTES = 3 << 30
"""Addresses, of which ONNX Runtime and its threads reserve more than they use: a photo of 50
megapixels is refused below 1.5 GiB. A decompression bomb ends here."""
CPU_S = 60
"""Beyond every time limit that can be set usefully; for a worker that nobody is left to stop."""
NICENESS = 10
"""A turn that runs comes first. At 15 a recording had not been looked at within a minute where four
other processes were busy on two cores; at 10 it has a tenth of what they have."""
_PR_SET_PDEATHSIG = 1


def confine(parent: int) -> None:
    """Takes from this process what it does not need.

    It writes no file and leaves no core dump, its memory and time are bounded, everybody else comes
    first, and where the kernel can do it (Linux) it ends with the process that started it.

    parent: the number of that process; if it is gone already, this one ends at once.
    """
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_AS, MEMORY_BYTES)
    _limit(resource.RLIMIT_CPU, CPU_S)
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    if sys.platform == "linux":
        # Where memory runs out, this goes first. /proc is no file in the sense of the limit.
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit("the process that wanted this is gone")


def leave_no_core_dump() -> None:
    """For processes that hold what visitors brought: a crash must not write it down."""
    _limit(resource.RLIMIT_CORE, 0)


def _limit(what: int, most: int) -> None:
    _, hard = resource.getrlimit(what)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(what, (most, most))
