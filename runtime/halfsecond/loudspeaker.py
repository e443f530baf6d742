"""Plays answers as a client should: in small blocks, so that a pause is heard at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from halfsecond import wire

BLOCK_BYTES = 2 * 1200
"""50 ms at 24 kHz: what is still played after a pause was told."""
REPORT_S = 0.25
"""Between two reports of the playhead."""

Write = Callable[[bytes], Awaitable[None]]
"""Plays PCM s16le at 24 kHz; returns when the device takes more."""
Report = Callable[[int, float], Awaitable[None]]
"""Told the turn and the place in it that is being heard, in seconds."""


class Loudspeaker:
    """Takes a client's events in `add`; `play` writes what is due, until it is cancelled."""

    def __init__(self, write: Write, report: Report, *, rate_hz: int = 24_000) -> None:
        self._write = write
        self._report = report
        self._bytes_per_s = 2 * rate_hz
        self._waiting: deque[tuple[wire.Audio, bytes]] = deque()
        self._is_paused = False
        self._generation = 0
        self._changed = asyncio.Event()
        self._reported = (0, 0.0)

    def add(self, message: wire.ServerMessage, payload: bytes = b"") -> None:
        """Notes sound, a pause, its end, or that an answer is void."""
        if message.generation > self._generation:
            self._generation = message.generation
            self._waiting = deque(a for a in self._waiting if a[0].generation >= self._generation)
            self._is_paused = False
        if isinstance(message, wire.Audio) and message.generation >= self._generation:
            for start in range(0, len(payload), BLOCK_BYTES):
                self._waiting.append((message, payload[start : start + BLOCK_BYTES]))
        elif isinstance(message, wire.Pause):
            self._is_paused = True
        elif isinstance(message, wire.Resume):
            self._is_paused = False
        self._changed.set()

    async def play(self) -> None:
        """Plays for as long as it is awaited."""
        turn, played_bytes = 0, 0
        while True:
            if self._is_paused or not self._waiting:
                self._changed.clear()
                await self._changed.wait()
                continue
            header, block = self._waiting.popleft()
            if header.turn != turn:
                turn, played_bytes = header.turn, 0
            await self._write(block)
            played_bytes += len(block)
            await self._tell(turn, played_bytes / self._bytes_per_s)

    async def _tell(self, turn: int, pts_s: float) -> None:
        """Reports now and then, and at the end of what is there."""
        is_new = turn != self._reported[0] or pts_s - self._reported[1] >= REPORT_S
        if is_new or not self._waiting:
            self._reported = (turn, pts_s)
            await self._report(turn, pts_s)
