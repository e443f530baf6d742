"""The figures of `bench gpu` as one table, and in words what is not in it."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from halfsecond_bench.gpu.figures import GpuReport, NetworkFigures
from halfsecond_bench.statistics import Distribution
from halfsecond_bench.tables import plain_table


def print_report(report: GpuReport, console: Console) -> None:
    """One line for everything that was tried."""
    console.print(
        f"{report.gpu} ({report.compute_capability}, CUDA {report.cuda_major}) in {report.device}; "
        "ms, p50"
    )
    table = plain_table("", "runs on", "", "error", "CPU", "GPU", "its arrays", "as a graph")
    for row in report.networks:
        table.add_row(
            escape(row.name), row.runs_on, row.outcome, _error(row), *map(_median, _times(row))
        )
    for heard in report.speech:
        error = f"{heard.words_that_differ} of {heard.words} words" if heard.words else ""
        table.add_row(
            escape(heard.name),
            "",
            heard.outcome,
            error,
            *map(_median, (heard.cpu_ms, heard.gpu_ms)),
        )
    for model in report.language_models:
        error = f"{model.same_tokens} of {model.tokens} tokens" if model.tokens else ""
        times = ("" if t is None else f"{t:.2f}" for t in (model.cpu_token_ms, model.gpu_token_ms))
        table.add_row(escape(model.name), "CTranslate2", model.outcome, error, *times)
    console.print(table)
    for name, _, detail in report.lines:
        if detail:
            console.print(f"{name}: {detail}", markup=False)
    for pair in report.overlap:
        console.print(
            f"{pair.lips} beside {pair.beside}: a run of the lips takes "
            f"{pair.lips_alone_ms:.2f} ms alone, {pair.lips_beside_high_ms:.2f} beside it at high "
            f"priority and {pair.lips_beside_low_ms:.2f} at low; both at once take "
            f"{pair.at_once_ms:.1f} ms instead of {pair.one_after_the_other_ms:.1f} "
            f"({pair.gain:.2f} times sooner)",
            markup=False,
        )


def _times(row: NetworkFigures) -> tuple[Distribution | None, ...]:
    return (row.cpu_ms, row.gpu_ms, row.device_ms, row.graph_ms)


def _median(times: Distribution | None) -> str:
    return "" if times is None else f"{times.p50:.2f}"


def _error(row: NetworkFigures) -> str:
    return "" if row.relative_error is None else f"{row.relative_error:.1e}"
