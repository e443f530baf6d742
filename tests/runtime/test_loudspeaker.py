"""A loudspeaker without a device: what is played, and what is not any more."""

from __future__ import annotations

import asyncio

import pytest

from halfsecond import wire
from halfsecond.loudspeaker import BLOCK_BYTES, Loudspeaker


class Device:
    """Takes a block whenever `tick` lets it."""

    def __init__(self) -> None:
        self.played = b""
        self.reports: list[tuple[int, float]] = []
        self._free = asyncio.Semaphore(0)

    async def write(self, block: bytes) -> None:
        await self._free.acquire()
        self.played += block

    async def report(self, turn: int, pts_s: float) -> None:
        self.reports.append((turn, pts_s))

    async def tick(self, blocks: int) -> None:
        for _ in range(blocks):
            self._free.release()
            await asyncio.sleep(0.001)


def audio(value: int, *, turn: int = 1, generation: int = 1) -> tuple[wire.Audio, bytes]:
    """A tenth of a second: two blocks."""
    return wire.Audio(turn=turn, generation=generation), bytes([value]) * (2 * BLOCK_BYTES)


@pytest.fixture
async def device() -> Device:
    return Device()


async def playing(device: Device) -> tuple[Loudspeaker, asyncio.Task[None]]:
    speaker = Loudspeaker(device.write, device.report)
    return speaker, asyncio.create_task(speaker.play())


async def test_a_pause_is_heard_after_the_block_that_is_being_played(device: Device) -> None:
    speaker, task = await playing(device)
    for value in (1, 2, 3):
        speaker.add(*audio(value))
    await device.tick(2)
    speaker.add(wire.Pause(turn=1, generation=1))
    await device.tick(4)
    assert len(device.played) <= 3 * BLOCK_BYTES
    speaker.add(wire.Resume(turn=1, generation=1))
    await device.tick(4)
    task.cancel()
    assert device.played == b"".join(bytes([v]) * (2 * BLOCK_BYTES) for v in (1, 2, 3))


async def test_a_higher_generation_drops_what_waits_and_ends_a_pause(device: Device) -> None:
    speaker, task = await playing(device)
    speaker.add(*audio(1))
    speaker.add(*audio(2))
    await device.tick(1)
    speaker.add(wire.Pause(turn=1, generation=1))
    speaker.add(wire.TurnEnd(turn=1, generation=2, reason="interrupted"))
    speaker.add(*audio(9, turn=1, generation=1))  # too late
    speaker.add(*audio(3, turn=2, generation=3))
    await device.tick(6)
    task.cancel()
    assert set(device.played) == {1, 3}
    assert device.played.count(3) == 2 * BLOCK_BYTES
    assert device.played.count(1) <= 2 * BLOCK_BYTES


async def test_the_playhead_is_told_four_times_a_second_and_at_the_end(device: Device) -> None:
    speaker, task = await playing(device)
    for value in range(1, 11):
        speaker.add(*audio(value))
    await device.tick(20)
    task.cancel()
    turn, pts_s = device.reports[-1]
    assert turn == 1
    assert pts_s == pytest.approx(1.0)
    assert 4 <= len(device.reports) <= 6
    assert [pts for _, pts in device.reports] == sorted(pts for _, pts in device.reports)
