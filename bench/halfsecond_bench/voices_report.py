"""What `bench voices` prints."""

from __future__ import annotations

from rich.console import Console

from halfsecond_bench.tables import plain_table
from halfsecond_bench.voices import Readings, VoicesReport


def print_report(report: VoicesReport, console: Console) -> None:
    """A line per voice, then who sounds like whom, and every text that was misread."""
    console.print(f"{report.device}; heard by {report.recognizer}")
    console.print("errors in words, of Chinese in characters; ms to the first sound")
    table = plain_table("voice", "errors, %", "n", "read", "mixed", "ms", "RTF", "dBFS")
    for row in report.voices:
        words = row.words
        table.add_row(
            row.voice,
            f"{100 * words.rate:.1f} ({100 * words.low:.1f}–{100 * words.high:.1f})",
            str(words.n),
            _share(row.readings),
            _share(row.mixed),
            f"{row.first_chunk_ms.p50:.0f}",
            f"{row.real_time_factor.p50:.3g}",
            f"{row.level_dbfs.p50:.1f}",
        )
    for column in table.columns:
        column.no_wrap = True
    console.print(table)
    speakers = report.speakers
    console.print(
        f"{speakers.speakers} speakers, {speakers.utterances} utterances: cosine of one speaker "
        f"{speakers.same_mean:.3f} (n {speakers.same.n}), of two {speakers.different_mean:.3f} "
        f"(n {speakers.different.n}), {speakers.apart:.3f} apart; "
        f"{len(speakers.confusions)} taken for another"
    )
    for row in report.voices:
        other, cosine = speakers.nearest[row.voice]
        console.print(f"  {row.voice} is most like {other} ({cosine:.2f})")
    for confusion in speakers.confusions:
        console.print(
            f"  {confusion.speaker} taken for {confusion.taken_for} "
            f"({confusion.other:.2f} against {confusion.own:.2f})"
        )
    console.print(f"loudest and quietest voice are {report.loudness_apart_db:.1f} dB apart")
    for row in report.voices:
        for misread in row.readings.wrong + (row.mixed.wrong if row.mixed else []):
            console.print(
                f"{row.voice}: {misread.written} was heard as {misread.heard}", markup=False
            )


def _share(readings: Readings | None) -> str:
    return "" if readings is None else f"{readings.right}/{readings.n}"
