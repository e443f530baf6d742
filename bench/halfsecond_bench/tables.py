"""Tables in the terminal, as every command of the harness prints them."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table

from halfsecond_bench.statistics import Distribution


def plain_table(*headers: str) -> Table:
    """A table without lines, flush with the text around it."""
    return Table(*headers, box=None, pad_edge=False)


def distributions_table(rows: Iterable[tuple[str, Distribution]], *, spec: str = ".1f") -> Table:
    """One line per named distribution: p50, p95, max and n; `spec` formats the numbers."""
    table = plain_table("", "p50", "p95", "max", "n")
    for name, d in rows:
        table.add_row(name, f"{d.p50:{spec}}", f"{d.p95:{spec}}", f"{d.max:{spec}}", str(d.n))
    return table
