"""What is kept of the microphone, and where utterances are cut from it; no models."""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes.engines import FakeVad
from halfsecond.audio import float_to_pcm16, pcm16_to_float
from halfsecond.config import TurnConfig, VadConfig
from halfsecond.models.echo.canceller import NoCanceller
from halfsecond.stages.echo import EchoCancellation
from halfsecond.stages.listening import KEPT_S, RATE_HZ, Listener
from halfsecond.stages.local import LocalStage

BLOCK = 320


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    vad = LocalStage(FakeVad())
    await vad.open()
    yield Listener(
        "s",
        vad,
        turn=TurnConfig(),
        longest_silence_s=1.2,
        thresholds=VadConfig(),
        rate_hz=RATE_HZ,
        channels=1,
        echo=EchoCancellation(NoCanceller(), now=lambda: 0.0),
        now=lambda: 0.0,
    )
    await vad.close()


async def hear(listener: Listener, blocks: int) -> NDArray[np.float32]:
    """The stream so far, every sample of it another value than its neighbours."""
    stream = np.linspace(-0.04, 0.04, blocks * BLOCK, dtype=np.float32)
    for start in range(0, len(stream), BLOCK):
        assert listener.push(float_to_pcm16(stream[start : start + BLOCK]))
        async for _ in listener.hear():
            pass
    return pcm16_to_float(float_to_pcm16(stream))


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        (0, None),
        (0, 1),
        (319, 321),
        (320, 640),
        (640, None),
        (1000, 1000),
        (1000, 900),
        (3199, None),
    ],
)
async def test_any_stretch_of_the_stream_can_be_cut_out(
    listener: Listener, begin: int, end: int | None
) -> None:
    stream = await hear(listener, 10)
    np.testing.assert_array_equal(listener.since(begin, end), stream[begin:end])


async def test_nothing_is_cut_out_after_the_end(listener: Listener) -> None:
    await hear(listener, 3)
    assert len(listener.since(3 * BLOCK)) == 0
    assert len(listener.since(10 * BLOCK, 12 * BLOCK)) == 0


async def test_what_is_older_than_is_kept_is_left_out(listener: Listener) -> None:
    stream = await hear(listener, 1700)
    kept = listener.since(0)
    assert 0 <= len(kept) - KEPT_S * RATE_HZ <= BLOCK
    np.testing.assert_array_equal(kept, stream[-len(kept) :])
    np.testing.assert_array_equal(listener.since(20_000, 40_000), stream[-len(kept) : 40_000])


class Late(NoCanceller):
    """A canceller that is behind by 8 ms."""

    latency_samples = 128


async def test_a_sample_came_when_its_block_was_pushed_however_long_that_waited() -> None:
    now_s = 100.0
    vad = LocalStage(FakeVad())
    await vad.open()
    listener = Listener(
        "s",
        vad,
        turn=TurnConfig(),
        longest_silence_s=1.2,
        thresholds=VadConfig(),
        rate_hz=RATE_HZ,
        channels=1,
        echo=EchoCancellation(Late(), now=lambda: now_s),
        now=lambda: now_s,
    )
    listener.push(bytes(2 * BLOCK))
    now_s += 5.0
    assert listener.silent_for_s == 0.0
    async for _ in listener.hear():
        pass
    await vad.close()
    assert listener.silent_for_s == pytest.approx(5.0)
    # The cleaned stream is behind the microphone, so what is in it came that much earlier.
    assert listener.arrived_at_s(BLOCK) == pytest.approx(100.0 - 0.008)
    assert listener.arrived_at_s(BLOCK - 160) == pytest.approx(100.0 - 0.018)
