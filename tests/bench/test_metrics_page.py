"""Reading a server's figures as Prometheus does."""

from __future__ import annotations

from prometheus_client import generate_latest, start_http_server

from halfsecond.metrics import Metrics
from halfsecond_bench.metrics_page import MetricsPage, free_port, parse


def metrics() -> Metrics:
    made = Metrics()
    made.sessions.set(3)
    made.stage_queued.labels("asr").inc(2)
    made.dropped_pictures.inc(7)
    return made


def test_values_are_found_by_name_and_label() -> None:
    page = parse(generate_latest(metrics().registry).decode())
    assert page["sessions"] == 3
    assert page["stage_queued{asr}"] == 2
    assert page["dropped_pictures_total"] == 7


def test_the_page_is_read_from_this_machine() -> None:
    port = free_port()
    server, thread = start_http_server(port, addr="127.0.0.1", registry=metrics().registry)
    try:
        assert MetricsPage(port).read()["sessions"] == 3
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
