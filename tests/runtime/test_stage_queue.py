"""How long requests wait for an engine, and how many there are."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from fakes.engines import FakeAsr
from halfsecond.metrics import METRICS
from halfsecond.models.asr.recognizer import Transcript
from halfsecond.stages.asr import AsrRequest
from halfsecond.stages.local import LocalStage
from halfsecond.stages.stage import Cancel
from halfsecond.timeline import Timeline

HELD_S = 0.3


async def hear(stage: LocalStage[AsrRequest, Transcript], timeline: Timeline) -> None:
    with timeline.span("asr", "1 s"):
        async for _ in stage.run(AsrRequest(np.zeros(16, np.float32), "en"), Cancel()):
            pass


def lengths_s(timeline: Timeline) -> dict[str, float]:
    return {span.stage: span.end_s - span.start_s for span in timeline.spans}


def queued() -> Any:
    return METRICS.stage_queued.labels("asr")._value.get()


async def test_a_request_behind_another_tells_how_long_it_waited() -> None:
    engine = FakeAsr()
    stage = LocalStage(engine)
    await stage.open()
    first, second = Timeline(turn=1), Timeline(turn=2)
    before = queued()
    engine.gate.clear()
    hearing = [asyncio.create_task(hear(stage, timeline)) for timeline in (first, second)]
    await asyncio.sleep(HELD_S)
    assert queued() == before + 2
    engine.gate.set()
    await asyncio.gather(*hearing)
    assert queued() == before
    assert lengths_s(first)["asr.queue"] < HELD_S / 2
    assert lengths_s(second)["asr.queue"] == pytest.approx(HELD_S, abs=HELD_S / 2)
    for timeline in (first, second):
        whole, queue = timeline.spans
        assert queue.start_s == whole.start_s
        assert queue.end_s <= whole.end_s
    await stage.close()


async def test_a_request_that_was_given_up_in_the_queue_has_no_end_of_its_wait() -> None:
    engine = FakeAsr()
    stage = LocalStage(engine)
    await stage.open()
    kept, given_up = Timeline(turn=1), Timeline(turn=2)
    before = queued()
    engine.gate.clear()
    hearing = [asyncio.create_task(hear(stage, timeline)) for timeline in (kept, given_up)]
    await asyncio.sleep(0.05)
    hearing[1].cancel()
    await asyncio.gather(hearing[1], return_exceptions=True)
    assert queued() == before + 1
    assert set(lengths_s(given_up)) == {"asr"}
    engine.gate.set()
    await hearing[0]
    assert queued() == before
    await stage.close()
