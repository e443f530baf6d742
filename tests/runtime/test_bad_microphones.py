"""Microphones that fail, rooms that are never quiet: a clear event, and nobody is stuck."""

from __future__ import annotations

import asyncio

import msgspec
import numpy as np
import pytest

from fakes.servers import QUICK
from fakes.visits import RATE_HZ, silence, tone, visit
from halfsecond import wire


async def test_a_microphone_that_stops_in_mid_speech_is_told_and_what_was_heard_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("halfsecond.stages.session.MICROPHONE_LIMIT_S", 0.4)
    async with visit() as visitor:
        await visitor.hear(tone(0.6))
        (error,) = await visitor.until(wire.Error)
        (end,) = await visitor.until(wire.TurnEnd)
    assert isinstance(error, wire.Error)
    assert error.code == "microphone_stopped"
    assert not error.is_fatal
    assert isinstance(end, wire.TurnEnd)
    assert end.reason == "complete"


async def test_a_microphone_that_stops_in_silence_is_no_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("halfsecond.stages.session.MICROPHONE_LIMIT_S", 0.2)
    async with visit() as visitor:
        await visitor.hear(silence(0.5))
        await visitor.rest(0.6)
    assert visitor.said == []


async def test_blocks_that_are_lost_leave_the_rest_of_the_question() -> None:
    question = tone(1.0)
    kept = [question[at : at + 320] for at in range(0, len(question), 320) if at % 1600]
    async with visit() as visitor:
        await visitor.hear(np.concatenate([*kept, silence(0.6)]), block_s=0.02)
        (end,) = await visitor.until(wire.TurnEnd)
    assert isinstance(end, wire.TurnEnd)
    assert end.reason == "complete"
    assert len(visitor.engines.asr.requests) >= 1


async def test_a_level_that_jumps_does_not_cut_the_question() -> None:
    question = np.concatenate([tone(0.5, gain=0.8), tone(0.5, gain=0.07), tone(0.5, gain=0.8)])
    async with visit() as visitor:
        await visitor.hear(np.concatenate([question, silence(0.6)]), block_s=0.02)
        await visitor.until(wire.TurnEnd)
    heard = visitor.engines.asr.requests[-1].samples
    assert len(heard) >= 1.5 * RATE_HZ
    assert len([m for m in visitor.said if isinstance(m, wire.TurnEnd)]) == 1


async def test_a_visitor_who_never_stops_is_answered_piece_by_piece() -> None:
    turn = msgspec.structs.replace(QUICK.turn, max_utterance_s=2.0, can_interrupt=False)
    async with visit(msgspec.structs.replace(QUICK, turn=turn)) as visitor:
        speaking = asyncio.create_task(visitor.hear(tone(7.0)))
        (first, *_) = await visitor.until(wire.TurnEnd)
        await speaking
    assert isinstance(first, wire.TurnEnd)
    assert first.reason == "complete"
    longest = max(len(request.samples) for request in visitor.engines.asr.requests)
    assert longest <= 2.2 * RATE_HZ


async def test_hours_of_silence_keep_half_a_minute_of_audio_and_say_nothing() -> None:
    async with visit() as visitor:
        hour = silence(60.0)
        for _ in range(60):
            await visitor.hear(hour, block_s=1.0)
        listener = visitor.session._listener
        assert listener.heard_s == pytest.approx(3600)
        assert len(listener.since(0)) <= 34 * RATE_HZ
        assert len(listener._arrivals) <= 2000
    assert visitor.said == []


async def test_noise_that_the_recogniser_hears_nothing_in_ends_idle() -> None:
    async with visit() as visitor:
        visitor.engines.asr.text = ""
        await visitor.hear(np.concatenate([tone(1.0), silence(0.6)]))
        (end,) = await visitor.until(wire.TurnEnd)
        await visitor.rest(0.1)
    assert isinstance(end, wire.TurnEnd)
    assert end.reason == "empty"
    assert visitor.states()[-1] == "idle"
    assert not any(isinstance(m, wire.Transcript | wire.Audio) for m in visitor.said)
