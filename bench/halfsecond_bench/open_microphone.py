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


class OpenMicrophone:
    """Sends until it is closed. `say` speaks a recording from the next block on."""

    def __init__(self, client: Client, *, seed: int = 0, now: Now = monotonic) -> None:
        self._client = client
        self._now = now
        room = np.random.default_rng(seed).normal(0, 10 ** (ROOM_DBFS / 20), 50 * BLOCK_SAMPLES)
        self._room = float_to_pcm16(room.astype(np.float32))
        self._waiting: deque[tuple[bytes, asyncio.Future[float] | None]] = deque()
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

    async def close(self) -> None:
        """Stops sending."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _send(self) -> None:
        block_s = BLOCK_SAMPLES / RATE_HZ
        start_s, number = self._now(), 0
        while True:
            begin_s = start_s + number * block_s
            number += 1
            at = (number % 50) * BLOCK_SAMPLES * 2
            pcm, began = self._room[at : at + 2 * BLOCK_SAMPLES], None
            if self._waiting:
                pcm, began = self._waiting.popleft()
            if began is not None and not began.done():
                began.set_result(begin_s)
            # A block is handed over when its last sample has been heard, not its first.
            await asyncio.sleep(max(0.0, begin_s + block_s - self._now()))
            await self._client.send_audio(pcm)
