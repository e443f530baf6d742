"""Nothing that halfsecond loads reports to anybody."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

LOAD = "import sys, halfsecond; assert 'onnxruntime' not in sys.modules; import onnxruntime"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is kept in other places")
def test_onnx_runtime_gives_the_machine_no_identifier_and_keeps_no_reports(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    subprocess.run(
        [sys.executable, "-c", LOAD],
        env={**environment, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")},
        check=True,
    )
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
