"""Where a turn's end is expected, and what the instant server answers; no models."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from halfsecond import wire
from halfsecond.audio import float_to_pcm16
from halfsecond.client import Client, Received
from halfsecond.errors import ServerError
from halfsecond.models.vad.segmenter import Segmenter, SegmenterConfig, SpeechEnded
from halfsecond.stages.stage import Cancel
from halfsecond.stages.vad import VadRequest
from halfsecond_bench.instant_engines import ANSWER, PICTURE_BYTES, EnergyVad
from halfsecond_bench.open_microphone import BLOCK_SAMPLES, OpenMicrophone
from halfsecond_bench.overhead import (
    CONFIG,
    PROGRAM,
    Answer,
    TurnOverhead,
    completing_sample,
    figures,
    report,
)
from halfsecond_bench.server_process import running_server


def answer(*, endpoint_s: float, audio_s: float | None = 10.004) -> Answer:
    end = wire.TurnEnd(
        session="s", turn=1, generation=1, pts=1.0, reason="complete",
        marks={"endpoint": endpoint_s}, spans=[],
    )  # fmt: skip
    return Answer(False, asyncio.Event(), audio_s, 10.006, cpu_s=0.1, end=end, end_s=12.004)


@pytest.mark.parametrize("end", [9600, 9601, 9727, 9728, 9729, 12_345])
@pytest.mark.parametrize("silence_s", [0.2, 0.3, 0.5])
def test_the_end_of_a_turn_is_where_the_segmenter_ends_it(end: int, silence_s: float) -> None:
    heard = np.zeros(40_960, np.float32)
    heard[:end] = 0.2
    segmenter = Segmenter(SegmenterConfig(pause_s=0.09, silence_s=silence_s))
    (reply,) = EnergyVad().run(VadRequest("s", heard), Cancel())
    ended_at = [
        segmenter.position
        for probability in reply.probabilities
        for event in segmenter.push(probability)
        if isinstance(event, SpeechEnded)
    ]
    assert ended_at == [completing_sample(end, silence_s=silence_s)]


def test_times_count_from_the_block_that_ended_the_turn() -> None:
    turn = figures(answer(endpoint_s=10.001), sent_s=10.0, is_whole=True)
    assert (turn.endpoint_ms, turn.audio_ms, turn.picture_ms) == pytest.approx((1.0, 4.0, 6.0))
    assert turn.cores == pytest.approx(0.05)  # 0.1 s in 2 s of speech


def test_a_turn_that_ended_before_its_silence_was_complete_is_an_error() -> None:
    with pytest.raises(ServerError, match=r"2\.0 ms before"):
        figures(answer(endpoint_s=9.998), sent_s=10.0, is_whole=True)


def test_a_turn_without_sound_is_an_error() -> None:
    with pytest.raises(ServerError, match="without an end, sound or pictures"):
        figures(answer(endpoint_s=10.001, audio_s=None), sent_s=10.0, is_whole=True)


def test_cores_are_given_as_hundredths_and_only_of_whole_turns() -> None:
    whole = [
        TurnOverhead(endpoint_ms=1, audio_ms=4, picture_ms=5, cores=cores) for cores in (0.03, 0.05)
    ]
    cut = [TurnOverhead(endpoint_ms=1, audio_ms=2, picture_ms=3, cores=None)]
    made = report(whole, cut, idle_cores=0.012)
    assert made.speaking_core_percent == pytest.approx(4.0)
    assert made.idle_core_percent == pytest.approx(1.2)
    assert made.revealed_audio_ms.p50 == 2
    assert made.audio_ms.n == 2


async def test_the_instant_server_answers_with_every_kind_of_message() -> None:
    config = CONFIG.format(is_speculative="false", silence_s=0.3)
    speech = float_to_pcm16(np.full(9600, 0.2, np.float32)) + bytes(2 * 16_000)
    pictures, captions = 0, ""
    async with running_server(config, program=PROGRAM) as server, Client(server.address) as client:
        for start in range(0, len(speech), 16_000):
            await client.send_audio(speech[start : start + 16_000])
        async for event in client.events():
            assert isinstance(event, Received)
            assert not isinstance(event.message, wire.Error)
            if isinstance(event.message, wire.Video) and event.message.is_driven:
                pictures += 1
                assert len(event.payload) == PICTURE_BYTES
            elif isinstance(event.message, wire.Answer):
                captions += event.message.text
            elif isinstance(event.message, wire.TurnEnd):
                break
    assert captions.split() == ANSWER.split()
    assert pictures >= 25 * 2


async def test_the_microphone_knows_when_a_sample_was_handed_over() -> None:
    class Wire:
        def __init__(self) -> None:
            self.blocks: list[bytes] = []

        async def send_audio(self, pcm: bytes) -> None:
            self.blocks.append(pcm)

    wire_ = Wire()
    microphone = OpenMicrophone(wire_)  # type: ignore[arg-type]
    begin = microphone.sample_at(await microphone.say(np.full(BLOCK_SAMPLES, 0.5, np.float32)))
    await asyncio.sleep(0.1)
    await microphone.close()
    number = begin // BLOCK_SAMPLES
    assert begin % BLOCK_SAMPLES == 0
    assert np.frombuffer(wire_.blocks[number], "<i2").max() == 16_384
    first_s, next_s = (microphone.sent_at_s(begin + at) for at in (0, BLOCK_SAMPLES))
    assert first_s is not None
    assert next_s is not None
    assert first_s == microphone.sent_at_s(begin + BLOCK_SAMPLES - 1)
    assert first_s < next_s
    assert microphone.sent_at_s(10**9) is None
