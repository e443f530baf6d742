"""The figures that a server of this machine gives to Prometheus, as the harness reads them."""

from __future__ import annotations

import socket

from halfsecond.metrics_page import read_page, samples

TIMEOUT_S = 5.0


class MetricsPage:
    """The page at a port of 127.0.0.1."""

    def __init__(self, port: int) -> None:
        self.port = port

    def read(self) -> dict[str, float]:
        """Values by name; one with a label is `name{label}`, such as `stage_queued{asr}`.

        The prefix `halfsecond_` is left out. Raises OSError where nobody answers.
        """
        return parse(read_page(self.port, limit_s=TIMEOUT_S))


def parse(text: str) -> dict[str, float]:
    """The values of a page in Prometheus' text format, named as `MetricsPage.read` tells."""
    return {
        f"{name}{{{','.join(labels)}}}" if labels else name: value
        for name, labels, value in samples(text)
    }


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
