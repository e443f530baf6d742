"""What this process takes."""

from __future__ import annotations

from pathlib import Path

import pytest


def resident_mb() -> float:
    """Resident memory in MB; skips the test where the system does not tell."""
    status = Path("/proc/self/status")
    if not status.is_file():
        pytest.skip("this system has no /proc")
    lines = status.read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))
