"""The figures that a server of this machine gives to Prometheus, read back."""

from __future__ import annotations

import urllib.request

from prometheus_client.parser import text_string_to_metric_families

LIMIT_S = 1.0


def read_figures(port: int) -> dict[str, float]:
    """Gauges, counters and counts of distributions, by name and labels: `turns_total complete`.

    The prefix `halfsecond_` is left out. Raises OSError where nobody answers at that port of
    127.0.0.1.
    """
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=LIMIT_S) as page:
        text: str = page.read().decode()
    return {
        _name(sample.name, sample.labels): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith(("_created", "_bucket", "_sum"))
    }


def _name(name: str, labels: dict[str, str]) -> str:
    return name.removeprefix("halfsecond_") + "".join(f" {value}" for value in labels.values())
