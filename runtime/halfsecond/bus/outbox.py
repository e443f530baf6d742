"""What waits to be sent to one client: words and audio never lost, pictures by credit."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from halfsecond import wire

MAX_PICTURES = 50
"""Pictures that wait for credit; two seconds at 25 fps, 1.7 at 30. Then the oldest goes."""
MAX_MESSAGES = 2000
"""Words and audio that wait for a client that takes nothing; a turn is never this far ahead."""


@dataclass
class Outbox:
    """One client's queue. Filled and emptied on the event loop.

    Words that raise the generation go before the pictures that wait, and make them void.
    """

    credit: int = 0
    dropped_pictures: int = 0
    generation: int = 0
    """The highest of words and audio so far."""
    _messages: deque[tuple[wire.Header, bytes]] = field(default_factory=deque)
    _pictures: deque[tuple[wire.Video, bytes]] = field(default_factory=deque)
    _filled: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_overfull(self) -> bool:
        """The client takes nothing; its session should end."""
        return len(self._messages) > MAX_MESSAGES

    @property
    def wants_pictures(self) -> bool:
        """Whether a picture made now could be sent now."""
        return self.credit > len(self._pictures)

    def put(self, header: wire.Header, payload: bytes = b"") -> None:
        """Queues a message; a picture beyond the bound pushes out the oldest one."""
        if isinstance(header, wire.Video):
            if len(self._pictures) >= MAX_PICTURES:
                self._pictures.popleft()
                self.dropped_pictures += 1
            self._pictures.append((header, payload))
        else:
            if header.generation > self.generation:
                self.drop_before(header.generation)
            self._messages.append((header, payload))
        self._filled.set()

    def grant(self, frames: int) -> None:
        """The client takes `frames` more pictures."""
        self.credit = min(self.credit + max(frames, 0), 1000)
        self._filled.set()

    def drop_before(self, generation: int) -> None:
        """Forgets the audio and pictures of older generations; words stay."""
        self.generation = max(self.generation, generation)
        self._pictures = deque(p for p in self._pictures if p[0].generation >= generation)
        self._messages = deque(
            m
            for m in self._messages
            if not (isinstance(m[0], wire.Audio) and m[0].generation < generation)
        )

    def restart(self) -> None:
        """A new session begins: what waits of the last one's sound and pictures is void."""
        self.generation = 0
        self._pictures.clear()
        self._messages = deque(m for m in self._messages if not isinstance(m[0], wire.Audio))

    async def next(self) -> tuple[wire.Header, bytes]:
        """Waits for what is to be sent next: words and audio first."""
        while True:
            if self._messages:
                return self._messages.popleft()
            if self._pictures and self.credit > 0:
                self.credit -= 1
                return self._pictures.popleft()
            self._filled.clear()
            await self._filled.wait()
