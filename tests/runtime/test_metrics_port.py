"""The port of the metrics: one that is taken is the user's to mend."""

from __future__ import annotations

import socket

import pytest

from halfsecond.errors import ConfigError
from halfsecond.metrics import Metrics


def test_a_port_that_is_taken_is_told_with_what_to_do() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"log\.metrics_port {port} cannot be opened .*ss"):
            Metrics().serve(port)
