"""A microphone that is never closed: room tone at real-time pace, and recordings spoken into it."""

from __future__ import annotations

import asyncio
from collections import deque

import numpy as np
from numpy.typing import NDArray

from halfsecond.audio import float_to_pcm16
from halfsecond.client import Client
from halfsecond.timeline import Now, monotonic

RATE_HZ = 16_000
BLOCK_SAMPLES = 320
"""20 ms, what a sound card hands over at a time."""
ROOM_DBFS = -66.0
KEPT_BLOCKS = 1000
"""How many it remembers the time of: 20 s."""


class OpenMicrophone:
    """Sends until it is closed. `say` speaks a recording from the next block on."""

    def __init__(self, client: Client, *, seed: int = 0, now: Now = monotonic) -> None:
        self._client = client
        self._now = now
        room = np.random.default_rng(seed).normal(0, 10 ** (ROOM_DBFS / 20), 50 * BLOCK_SAMPLES)
        self._room = float_to_pcm16(room.astype(np.float32))
        self._waiting: deque[tuple[bytes, asyncio.Future[float] | None]] = deque()
        self._sent: deque[tuple[int, float]] = deque(maxlen=KEPT_BLOCKS)
        self._start_s = now()
        self._task = asyncio.create_task(self._send())

    async def say(self, samples: NDArray[np.float32]) -> float:
        """Speaks (n,) mono 16 kHz; returns when its first sample is spoken (client's clock)."""
        began: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        for start in range(0, len(samples), BLOCK_SAMPLES):
            block = np.zeros(BLOCK_SAMPLES, np.float32)
            piece = samples[start : start + BLOCK_SAMPLES]
            block[: len(piece)] = piece
            self._waiting.append((float_to_pcm16(block), began if start == 0 else None))
        return await began

    def sample_at(self, spoken_s: float) -> int:
        """Which sample of the stream is spoken at a time of the client's clock."""
        return round((spoken_s - self._start_s) * RATE_HZ)

    def sent_at_s(self, sample: int) -> float | None:
        """When the block with that sample of the stream was handed over; None if it was not, or
        too long ago."""
        last = sample + BLOCK_SAMPLES
        return next((at_s for end, at_s in self._sent if sample < end <= last), None)

    async def close(self) -> None:
        """Stops sending."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _send(self) -> None:
        block_s = BLOCK_SAMPLES / RATE_HZ
        number = 0
        while True:
            begin_s = self._start_s + number * block_s
            number += 1
            at = (number % 50) * BLOCK_SAMPLES * 2
            pcm, began = self._room[at : at + 2 * BLOCK_SAMPLES], None
            if self._waiting:
                pcm, began = self._waiting.popleft()
            if began is not None and not began.done():
                began.set_result(begin_s)
            # A block is handed over when its last sample has been heard, not its first.
            await asyncio.sleep(max(0.0, begin_s + block_s - self._now()))
            self._sent.append((number * BLOCK_SAMPLES, self._now()))
            await self._client.send_audio(pcm)
