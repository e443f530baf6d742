"""What the harness would have to hide, it shows: seeded delays come out in the figures."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from halfsecond.client import Client, Event
from halfsecond.conversation import BLOCK_S, RATE_HZ, Visitor
from halfsecond.models.face.aperture import ApertureMeter
from halfsecond.recording import Reply, Shown
from halfsecond_bench.av_offset import content_offset
from halfsecond_bench.server_process import _drain

SPEECH_RATE_HZ = 24_000


class DeafClient:
    """Notes when each block was sent, and hears nothing back."""

    def __init__(self) -> None:
        self.sent: list[tuple[float, int]] = []

    async def send_audio(self, pcm: bytes) -> None:
        self.sent.append((time.monotonic(), len(pcm) // 2))

    async def events(self) -> AsyncIterator[Event]:
        await asyncio.sleep(60)
        yield cast(Event, None)


async def test_no_sample_is_sent_before_it_was_spoken() -> None:
    client = DeafClient()
    visitor = Visitor(cast(Client, client))
    begun_s = time.monotonic()
    saying = asyncio.create_task(visitor.say(np.full(RATE_HZ, 0.1, np.float32), timeout_s=0.3))
    await asyncio.gather(saying, return_exceptions=True)
    await visitor.close()
    assert len(client.sent) > 5
    spoken = 0
    for at_s, samples in client.sent:
        spoken += samples
        late_s = at_s - begun_s - spoken / RATE_HZ
        assert 0.0 <= late_s < BLOCK_S + 0.1


class ReadingMeter:
    """Takes the aperture from the picture's only pixel."""

    def measure_all(self, images: Iterable[NDArray[np.uint8]]) -> NDArray[np.float64]:
        return np.array([float(image[0, 0, 0]) / 255 for image in images])


def reply(*, late_s: float) -> Reply:
    """Four seconds of syllables whose pictures have the right pts and come `late_s` after it.

    Each shows the mouth as it is in the middle of the time in which it is seen.
    """
    start_s, seconds, fps = 50.0, 4, 25
    levels = np.random.default_rng(3).uniform(0, 1, seconds * 6)
    at_s = np.arange(seconds * SPEECH_RATE_HZ) / SPEECH_RATE_HZ
    envelope = np.interp(at_s * 6, np.arange(len(levels)), levels).astype(np.float32)
    samples = (0.5 * envelope * np.sin(2 * np.pi * 900 * at_s)).astype(np.float32)
    pictures = [
        Shown(
            at_s=start_s + number / fps + late_s,
            pts_s=number / fps,
            data=bytes([int(255 * envelope[(2 * number + 1) * SPEECH_RATE_HZ // (2 * fps)])] * 3),
            is_driven=True,
            mouth=0.0,
            format="rgb",
            size=(1, 1),
        )
        for number in range(seconds * fps)
    ]
    audio: list[Any] = [(start_s, 0.0, samples)]
    return Reply(1, audio=audio, pictures=pictures)


@pytest.mark.parametrize(("late_s", "expected_s"), [(-0.3, 0.0), (0.0, 0.0), (0.2, 0.2)])
def test_pictures_that_come_late_are_behind_the_sound(late_s: float, expected_s: float) -> None:
    offset = content_offset(reply(late_s=late_s), cast(ApertureMeter, ReadingMeter()))
    assert offset is not None
    assert offset.offset_s == pytest.approx(expected_s, abs=0.02)


async def test_a_server_that_writes_long_lines_is_not_held_up() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "import sys; sys.stderr.write('x' * 1_000_000)",
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    await asyncio.wait_for(_drain(process, []), 10)
    assert await asyncio.wait_for(process.wait(), 5) == 0
