"""jetson/check.sh: the install script in a clean Debian root, its boot, and emulated aarch64."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECK = Path(__file__).parents[2] / "jetson" / "check.sh"
NEEDS = {
    "install": ("mmdebstrap", "unshare"),
    "offline": ("mmdebstrap", "unshare"),
    "boot": ("mmdebstrap", "systemd-nspawn"),
    "aarch64": ("mmdebstrap", "unzip"),
}
"""In this order: each goes on from the root that the one before has left."""

pytestmark = [pytest.mark.slow, pytest.mark.models, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("check")
    yield folder
    shutil.rmtree(folder)  # some gigabytes


@pytest.mark.parametrize("check", NEEDS)
def test_what_a_board_would_do_works_here(check: str, work: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("makes roots and containers: run it as root")
    for program in NEEDS[check]:
        if shutil.which(program) is None:
            pytest.skip(f"no {program} here: apt install mmdebstrap systemd-container unzip")
    result = subprocess.run(
        [str(CHECK), check],
        env={**os.environ, "WORK": str(work), "HALFSECOND_PYTHON": sys.executable},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
