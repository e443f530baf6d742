"""The figures that a server of this machine gives to Prometheus, as the harness reads them."""

from __future__ import annotations

import http.client
import socket

from prometheus_client.parser import text_string_to_metric_families

TIMEOUT_S = 5.0


class MetricsPage:
    """The page at a port of 127.0.0.1."""

    def __init__(self, port: int) -> None:
        self.port = port

    def read(self) -> dict[str, float]:
        """Values by name; one with a label is `name{label}`, such as `stage_queued{asr}`.

        The prefix `halfsecond_` is left out. Raises OSError where nobody answers.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        try:
            connection.request("GET", "/metrics")
            return parse(connection.getresponse().read().decode())
        finally:
            connection.close()


def parse(text: str) -> dict[str, float]:
    """The values of a page in Prometheus' text format, named as `MetricsPage.read` tells."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(sample.labels.values())
            name = sample.name.removeprefix("halfsecond_")
            found[f"{name}{{{labels}}}" if labels else name] = sample.value
    return found


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
