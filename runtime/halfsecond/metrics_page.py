"""The figures that a server of this machine gives to Prometheus, read back."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator

from prometheus_client.parser import text_string_to_metric_families

LIMIT_S = 1.0

Sample = tuple[str, tuple[str, ...], float]
"""Name without `halfsecond_`, labels, value."""


def read_page(port: int, *, limit_s: float = LIMIT_S) -> str:
    """The page at that port of 127.0.0.1. Raises OSError where nobody answers."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=limit_s) as page:
        text: str = page.read().decode()
    return text


def samples(text: str) -> Iterator[Sample]:
    """Everything on a page in Prometheus' text format."""
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = sample.name.removeprefix("halfsecond_")
            yield name, tuple(sample.labels.values()), sample.value


def read_figures(port: int) -> dict[str, float]:
    """Gauges, counters and counts of distributions, by name and labels: `turns_total complete`.

    Raises OSError where nobody answers at that port of 127.0.0.1.
    """
    return {
        " ".join((name, *labels)): value
        for name, labels, value in samples(read_page(port))
        if not name.endswith(("_created", "_bucket", "_sum"))
    }
