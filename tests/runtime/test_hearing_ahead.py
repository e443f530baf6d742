"""Long speech is heard while it goes on; short questions are heard once."""

from __future__ import annotations

import asyncio

import numpy as np

from fakes.visits import RATE_HZ, silence, tone, visit
from halfsecond import wire


async def test_long_speech_is_shown_while_it_goes_on() -> None:
    async with visit() as visitor:
        await visitor.hear(tone(7.0))
        (partial,) = await visitor.until(wire.Transcript)
        assert isinstance(partial, wire.Transcript)
        assert (partial.text, partial.is_final, partial.turn) == ("When do you close?", False, 0)
        await visitor.hear(silence(0.6))
        await visitor.until(wire.TurnEnd)
    last = [m for m in visitor.said if isinstance(m, wire.Transcript)][-1]
    assert (last.is_final, last.turn) == (True, 1)


async def test_a_short_question_is_heard_once_at_its_end() -> None:
    async with visit() as visitor:
        await visitor.hear(np.concatenate([tone(2.0), silence(0.6)]))
        await visitor.until(wire.TurnEnd)
    assert len(visitor.engines.asr.requests) == 1
    assert not visitor.engines.asr.requests[0].has_times


async def test_hearing_ahead_waits_for_a_stage_that_is_busy() -> None:
    async with visit() as visitor:
        visitor.engines.asr.gate.clear()
        await visitor.hear(tone(7.0))
        await asyncio.sleep(0.05)
        await visitor.hear(tone(3.0))
        await asyncio.sleep(0.05)
        assert len(visitor.engines.asr.requests) == 1
        visitor.engines.asr.gate.set()
        await visitor.hear(silence(0.6))
        await visitor.until(wire.TurnEnd)
    assert len(visitor.engines.asr.requests[-1].samples) > 9.5 * RATE_HZ
