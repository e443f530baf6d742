"""The measurement of a page under a server that is killed, with real processes and a browser."""

from __future__ import annotations

import pytest

from halfsecond_bench.chromium import chromium_program
from halfsecond_bench.recovery import measure

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium_program() is None, reason="apt-get install chromium"),
]


async def test_the_same_page_gets_an_answer_after_each_kill_and_the_times_add_up() -> None:
    told: list[None] = []
    report = await measure(
        kills=2,
        config_toml='[log]\nformat = "json"\n',
        question="When do you close?",
        program=("halfsecond_bench.instant_server",),
        progress=lambda: told.append(None),
    )
    assert (report.kills, report.answered, len(told)) == (2, 2, 2)
    assert 0 < report.away_ms.max < report.total_ms.max
    for part in (report.away_ms, report.server_ready_ms, report.idle_ms, report.total_ms):
        assert part.n == 2
    parts = report.away_ms.p50 + report.server_ready_ms.p50
    assert parts < report.total_ms.p50 < 20_000
