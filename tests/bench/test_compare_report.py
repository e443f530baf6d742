"""What the screen says of a comparison."""

from __future__ import annotations

import io

from rich.console import Console

from halfsecond_bench.compare.report import CompareReport, figures, print_report, ratios
from halfsecond_bench.compare.turns import SideTurn
from halfsecond_bench.statistics import distribution


def turn(frame_ms: float | None, *, answer: str = "At five.", cut_ins: int = 0) -> SideTurn:
    return SideTurn(
        clip="close.flac", first_audio_ms=frame_ms, first_frame_ms=frame_ms, wait_ms=300,
        work_ms=frame_ms, answer=answer, cut_ins=cut_ins,
    )  # fmt: skip


def report(per_turn: dict[str, list[SideTurn]], missing: list[str]) -> CompareReport:
    found, differing = ratios(per_turn)
    return CompareReport(
        turns=2,
        device="two cores",
        versions={},
        threads={},
        settings={},
        missing=missing,
        sides={name: figures(turns) for name, turns in per_turn.items()},
        sequential_stages_ms={},
        speech_s=distribution([2.0]),
        ratios=found,
        differing=differing,
        recognition=None,
        per_turn=per_turn,
    )


def printed(made: CompareReport) -> str:
    out = io.StringIO()
    print_report(made, Console(file=out, width=200, highlight=False))
    return out.getvalue()


def test_the_ratio_stands_beside_what_is_to_be_reached() -> None:
    text = printed(
        report({"mesh": [turn(400), turn(400)], "sequential": [turn(4800), turn(4000)]}, [])
    )
    row = next(line for line in text.splitlines() if "as measured" in line)
    assert row.split()[-9:] == ["11.0", "10.0", "–", "12.0", "10.0", "–", "12.0", "2", "15"]


def test_pairs_with_other_words_are_told_with_both_answers() -> None:
    text = printed(
        report(
            {
                "mesh": [turn(400), turn(400)],
                "sequential": [turn(4800, answer="No idea."), turn(4000, cut_ins=1)],
            },
            [],
        )
    )
    assert "left out (other words): close.flac, ours, mesh: 'At five.'; sequential: 'No idea.'" in (
        text
    )
    assert "left out (cut in): close.flac" in text


def test_what_is_not_installed_is_named_with_the_command_in_one_line() -> None:
    text = printed(report({"mesh": [turn(400)]}, ["faster-whisper", "pipecat-ai"]))
    assert text.splitlines()[-1] == (
        "faster-whisper and pipecat-ai not found, so not compared with: "
        "pip install 'halfsecond[peers]'"
    )


def test_a_turn_that_cut_in_is_counted_and_not_timed() -> None:
    side = figures([turn(400), turn(100, cut_ins=1), turn(None)])
    assert (side.cut_ins, side.unanswered) == (1, 1)
    assert (side.first_frame_ms.p50, side.first_frame_ms.n) == (400, 1)
