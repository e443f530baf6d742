"""Results over commits: what is kept, in which order, and what is refused."""

from __future__ import annotations

import subprocess
from datetime import datetime, timezone
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fakes.bench_results import QUESTIONS, result, turn
from halfsecond.errors import ConfigError
from halfsecond_bench.cli import app
from halfsecond_bench.history import read_history, record, with_current

TURNS = [(clip, turn(llm_ms=120 + n)) for n, clip in enumerate(QUESTIONS * 2)]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty repository with one commit of 5 March 2026."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"):
        monkeypatch.setenv(name, "2026-03-05T12:00:00+00:00")
    (folder / "a.txt").write_text("a")
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *arguments], check=True)
    return folder


def test_a_recorded_result_is_compact_and_comes_back(checkout: Path, tmp_path: Path) -> None:
    path = record(result(tmp_path, TURNS), checkout / "history")
    assert path.name.startswith("20260305T120000-")
    assert path.name.endswith("-latency-default.json")
    assert path.stat().st_size < 3000
    (entry,) = read_history(checkout / "history", kind="latency")
    assert entry.figures["voice_to_first_audio_ms"].p50 == pytest.approx(304.5)
    low, high = entry.p50_intervals["voice_to_first_audio_ms"]
    assert low < 304.5 < high
    assert entry.numbers["rss_mb"] == 800
    assert entry.date == datetime(2026, 3, 5, 12, tzinfo=timezone.utc)
    assert not entry.commit.endswith("+")
    assert read_history(checkout / "history", kind="stages") == []


def test_a_result_of_files_that_were_not_committed_says_so(checkout: Path, tmp_path: Path) -> None:
    (checkout / "a.txt").write_text("changed")
    record(result(tmp_path, TURNS), checkout / "history")
    assert read_history(checkout / "history", kind="latency")[0].commit.endswith("+")


def test_a_commit_that_git_does_not_know_is_refused(checkout: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"git does not know the commit deadbeef.*--commit"):
        record(result(tmp_path, TURNS), checkout / "history", commit="deadbeef")


def test_a_file_that_is_no_entry_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"x\.json is no entry"):
        read_history(tmp_path, kind="latency")


def test_the_present_result_is_the_last_point_unless_it_is_recorded(
    checkout: Path, tmp_path: Path
) -> None:
    now = datetime(2026, 4, 1, tzinfo=timezone.utc)
    measured = result(tmp_path, TURNS)
    assert [e.commit for e in with_current([], measured, now=now)] == ["now"]
    record(measured, checkout / "history")
    entries = read_history(checkout / "history", kind="latency")
    assert with_current(entries, measured, now=now) == entries


def test_the_report_command_draws_a_page_and_records(checkout: Path, tmp_path: Path) -> None:
    result(tmp_path, TURNS)
    measured, page = str(tmp_path / "result.json"), checkout / "page.html"
    options = ["--html", str(page), "--history", "history", "--record"]
    done = CliRunner().invoke(app, ["report", measured, *options])
    assert done.exit_code == 0, done.output
    assert len(list((checkout / "history").glob("*.json"))) == 1
    assert "A visitor waits 304 ms" in page.read_text(encoding="utf-8")
    nothing = CliRunner().invoke(app, ["report", measured])
    assert isinstance(nothing.exception, ConfigError)


def test_the_committed_history_can_be_read() -> None:
    folder = Path(__file__).resolve().parents[2] / "bench" / "results" / "history"
    entries = read_history(folder, kind="latency")
    assert len(entries) >= 2
    assert entries == sorted(entries, key=lambda entry: entry.date)
