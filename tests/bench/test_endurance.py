"""`bench load` and `bench soak` as a user runs them, briefly, on the real models."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from halfsecond_bench.cli import app
from halfsecond_bench.load_figures import LoadReport
from halfsecond_bench.soak_figures import SoakReport

pytestmark = [pytest.mark.models, pytest.mark.slow]


def test_two_visitors_at_once_are_measured_stage_by_stage(tmp_path: Path) -> None:
    out = tmp_path / "load.json"
    wanted = ["load", "--sessions", "2", "--turns", "1", "--budget-ms", "30000"]
    result = CliRunner().invoke(app, [*wanted, "--json", str(out)])
    assert result.exit_code == 0, result.output
    report = msgspec.json.decode(out.read_bytes(), type=LoadReport)
    assert [level.sessions for level in report.levels] == [1, 2]
    for level in report.levels:
        assert level.turns == 3 * level.sessions
        assert level.failures == []
        waits = level.stages["asr"].wait_ms
        assert waits is not None
        assert waits.n == level.turns
        assert level.stages["llm"].work_ms.p50 > 0
        assert level.server_cores > 0
    assert report.verdict in " ".join(result.output.split())


def test_a_dozen_questions_faster_than_real_time_leave_nothing_behind(tmp_path: Path) -> None:
    out, plot = tmp_path / "soak.json", tmp_path / "soak.png"
    wanted = ["soak", "--turns", "12", "--measured-every", "6"]
    result = CliRunner().invoke(app, [*wanted, "--json", str(out), "--plot", str(plot)])
    assert result.exit_code == 0, result.output
    report = msgspec.json.decode(out.read_bytes(), type=SoakReport)
    assert report.stuck == report.errors == report.faults == []
    assert report.unanswered == 0
    assert report.left == {"sessions": 0, "queued": 0}
    assert report.audio_error_ms.max < 1
    assert report.av_offset_ms.n >= 1
    assert plot.read_bytes().startswith(b"\x89PNG")
