"""The gate on results whose regression is seeded: it fails on those, and on noise it does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from fakes.bench_results import DEVICE, QUESTIONS, result_data, turn, write_result
from halfsecond.errors import ConfigError
from halfsecond_bench.cli import app
from halfsecond_bench.commands.gate import _judge_now
from halfsecond_bench.gate import compare, compare_all
from halfsecond_bench.judging import Change
from halfsecond_bench.results import Result, read_result

WITHIN_MS = 27
"""How far turns of one question lie apart, as in bench/results/latency.json."""


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter of the draws: quicker, and sure enough for what is seeded here."""
    monkeypatch.setattr("halfsecond_bench.resampling.ROUNDS", 2500)


def run(
    path: Path,
    seed: int,
    *,
    turns_each: int = 2,
    slower: Callable[[float], float] = lambda ms: ms,
    **more: object,
) -> Path:
    """A made-up run of the same fourteen questions; `slower` is what a commit did to them."""
    rng = np.random.default_rng(seed)
    turns = [
        (clip, turn(llm_ms=slower(290 + 8 * n + rng.normal(0, WITHIN_MS)) - 170))
        for n, clip in enumerate(QUESTIONS * turns_each)
        for n in [n % len(QUESTIONS)]
    ]
    return write_result(path, result_data(turns, **more))


def changes(folder: Path, baseline: int, current: int, **more: object) -> dict[str, Change]:
    """The judged figures of two runs by label."""
    before = read_result(run(folder / "before.json", baseline))
    after = read_result(run(folder / "after.json", current, **more))  # type: ignore[arg-type]
    return {change.label: change for change in compare(before, after).changes}


@pytest.mark.parametrize(
    ("slower", "least_ms"),
    [(lambda ms: ms * 1.1, 25.0), (lambda ms: ms + 40, 30.0)],
    ids=["10 percent", "40 ms"],
)
def test_a_seeded_regression_is_caught_with_its_size(
    tmp_path: Path, slower: Callable[[float], float], least_ms: float
) -> None:
    caught = 0
    for seed in range(8):
        found = changes(tmp_path, 100 + seed, 200 + seed, slower=slower, turns_each=4)
        change = found["last word → first sound"]
        assert change.noise is not None
        caught += change.verdict == "worse"
        assert change.change > least_ms / 2
    assert caught >= 7


def test_runs_that_are_alike_pass(tmp_path: Path) -> None:
    failed = 0
    for seed in range(50):
        found = changes(tmp_path, 1000 + seed, 2000 + seed)
        failed += any(change.verdict == "worse" for change in found.values())
    assert failed <= 3  # under 3 of 100 are expected


def test_a_faster_run_is_called_better_and_passes(tmp_path: Path) -> None:
    found = changes(tmp_path, 1, 2, slower=lambda ms: ms - 60)
    assert found["last word → first sound"].verdict == "better"
    assert "worse" not in {change.verdict for change in found.values()}


def test_a_difference_below_the_floor_is_none_however_sure_it_is(tmp_path: Path) -> None:
    steady = [(clip, turn()) for clip in QUESTIONS * 2]
    slower = [(clip, turn(llm_ms=126)) for clip in QUESTIONS * 2]
    before = read_result(write_result(tmp_path / "a.json", result_data(steady)))
    after = read_result(write_result(tmp_path / "b.json", result_data(slower)))
    change = compare(before, after).changes[0]
    assert (change.change, change.noise, change.verdict) == (6.0, 10.0, "alike")


def test_fewer_pictures_on_time_and_more_memory_are_worse(tmp_path: Path) -> None:
    found = changes(tmp_path, 1, 2, rss_mb=1000.0, fps={"p50": 1, "p95": 1, "max": 1, "n": 28})
    assert found["memory"].verdict == "worse"
    assert (found["memory"].change, found["memory"].noise) == (200.0, 80.0)
    assert found["pictures on time, a second"].verdict == "alike"  # judged by turns, not by p50

    before = read_result(run(tmp_path / "a.json", 1))
    slow = replace(before, rows=[row | {"fps": 20.0} for row in before.rows])
    pictures = compare(before, slow).changes
    verdicts = {change.key: change.verdict for change in pictures}
    assert verdicts["fps"] == "worse"


def test_visitors_that_are_cut_off_are_counted_exactly(tmp_path: Path) -> None:
    assert changes(tmp_path, 1, 2, false_cutoffs=6)[CUT_OFF].verdict == "alike"
    assert changes(tmp_path, 1, 2, false_cutoffs=7)[CUT_OFF].verdict == "worse"
    assert changes(tmp_path, 1, 2, false_cutoffs=7)[CUT_OFF].change == 0.25
    assert changes(tmp_path, 1, 2, turns_each=1)[CUT_OFF].of == (28, 14)


CUT_OFF = "visitors cut off"


def test_interruptions_are_judged_trial_by_trial(tmp_path: Path) -> None:
    def trials(later_ms: float) -> dict[str, object]:
        said = [
            {"clip": f"stop{n}.flac", "pause_ms": 150.0 + n + later_ms, "abandon_ms": 400.0}
            for n in range(12)
        ]
        cough = {"clip": "cough.flac", "pause_ms": 900.0, "abandon_ms": None}
        return {"trials": [*said, cough], "answers_abandoned": [], "false_alarms": 1}

    before = read_result(run(tmp_path / "a.json", 1, barge_in=trials(0)))
    after = read_result(run(tmp_path / "b.json", 1, barge_in=trials(60)))
    found = {change.key: change for change in compare(before, after).changes}
    assert found["barge_in_pause_ms"].verdict == "worse"
    assert found["barge_in_pause_ms"].change == 60
    assert found["abandon_ms"].verdict == "alike"


def test_words_that_are_no_longer_understood_are_worse(tmp_path: Path) -> None:
    deaf = read_result(run(tmp_path / "a.json", 1))
    hearing = read_result(run(tmp_path / "b.json", 1))
    for said in deaf.transcripts:
        said["hypothesis"] = "when do you go"  # of four words, one is wrong
    found = {change.key: change for change in compare(hearing, deaf).changes}
    assert found["wer"].verdict == "worse"
    assert found["wer"].current == pytest.approx(0.25)


def test_a_busy_machine_is_told_and_a_second_run_tells_it_from_a_regression(
    tmp_path: Path,
) -> None:
    before = read_result(run(tmp_path / "a.json", 1))
    busy = run(tmp_path / "b.json", 2, slower=lambda ms: ms + 150, others_cpu_share=0.9)
    quiet = read_result(run(tmp_path / "c.json", 3))
    alone = compare(before, read_result(busy))
    assert alone.has_regressed
    assert alone.notes == ["other programs took 0.9 cores in the current run"]
    both = compare_all([before], [read_result(busy), quiet])
    assert not both.has_regressed
    assert abs(both.changes[0].change) < 40
    slow = [read_result(run(tmp_path / "d.json", n, slower=lambda ms: ms + 90)) for n in (4, 5)]
    assert compare_all([before, quiet], slow).has_regressed


def test_a_regression_that_is_measured_now_is_measured_once_more(tmp_path: Path) -> None:
    before = read_result(run(tmp_path / "a.json", 1))
    shifts = iter([150.0, 0.0, 150.0, 150.0])
    asked: list[float] = []

    def measure() -> Result:
        asked.append(shift := next(shifts))
        path = run(tmp_path / "b.json", 2 + len(asked), slower=lambda ms: ms + shift)
        return read_result(path)

    assert not _judge_now([before], measure, runs=2, force=None).has_regressed
    assert asked == [150.0, 0.0]
    assert _judge_now([before], measure, runs=2, force=None).has_regressed
    assert asked == [150.0, 0.0, 150.0, 150.0]


def test_threads_and_versions_that_differ_are_told(tmp_path: Path) -> None:
    before = read_result(run(tmp_path / "a.json", 1))
    after = read_result(run(tmp_path / "b.json", 2, threads={"asr": 2}, versions={}))
    assert compare(before, after).notes == ["threads: asr 1 → 2", "versions: python 3.11.7 → –"]


def test_too_few_common_questions_are_refused(tmp_path: Path) -> None:
    before = read_result(run(tmp_path / "a.json", 1))
    others = [(f"other{n}.flac", turn()) for n in range(20)]
    after = read_result(write_result(tmp_path / "b.json", result_data(others)))
    with pytest.raises(ConfigError, match="5 questions and 10 turns in common"):
        compare(before, after)


def gate(*arguments: str | Path) -> tuple[int, str]:
    """Exit code and output of the command; what it raises is the user's mistake."""
    done = CliRunner().invoke(app, ["gate", *map(str, arguments)])
    if isinstance(done.exception, ConfigError):
        return 2, str(done.exception)
    return done.exit_code, done.output


def test_the_command_fails_with_1_and_names_what_got_worse_and_the_noise(tmp_path: Path) -> None:
    before = run(tmp_path / "a.json", 1)
    after = run(tmp_path / "b.json", 2, slower=lambda ms: ms + 80)
    code, output = gate("--baseline", before, "--current", after)
    assert code == 1
    assert "worse than the noise allows: last word → first sound" in " ".join(output.split())
    assert gate("--baseline", before, "--current", before)[0] == 0
    assert gate("--baseline", after, "--current", before)[0] == 0


def test_the_command_prints_json_alone(tmp_path: Path) -> None:
    before = run(tmp_path / "a.json", 1)
    after = run(tmp_path / "b.json", 2, slower=lambda ms: ms + 80)
    code, output = gate("--baseline", before, "--current", after, "--json")
    report = msgspec.json.decode(output)
    assert code == 1
    assert report["has_regressed"] is True
    worse = [c["key"] for c in report["changes"] if c["verdict"] == "worse"]
    assert "voice_to_first_audio_ms" in worse


@pytest.mark.parametrize(
    ("other", "found"),
    [
        ({"profile": "zh"}, "profile: default against zh"),
        ({"device": DEVICE.replace("2 cores", "8 cores")}, "8 cores"),
    ],
)
def test_another_profile_or_device_is_refused_with_2_unless_a_reason_is_given(
    tmp_path: Path, other: dict[str, object], found: str
) -> None:
    before = run(tmp_path / "a.json", 1)
    after = run(tmp_path / "b.json", 1, **other)  # type: ignore[arg-type]
    code, message = gate("--baseline", before, "--current", after)
    assert code == 2
    assert found in message
    assert "--force" in message
    code, output = gate("--baseline", before, "--current", after, "--force", "moved house")
    assert code == 0
    assert "compared all the same: moved house" in output


def test_another_kind_is_refused_even_by_force(tmp_path: Path) -> None:
    before = run(tmp_path / "a.json", 1)
    after = run(tmp_path / "b.json", 1, kind="stages")
    code, message = gate("--baseline", before, "--current", after, "--force", "why not")
    assert code == 2
    assert "'latency' result cannot be compared with a 'stages' one" in message


def test_the_committed_results_can_be_read_by_the_gate() -> None:
    folder = Path(__file__).resolve().parents[2] / "bench" / "results"
    for name in ("latency.json", "stages.json"):
        result = read_result(folder / name)
        report = compare(result, result)
        assert report.of == name.removesuffix(".json")
        assert not report.has_regressed
