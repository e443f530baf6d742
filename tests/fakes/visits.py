"""A session without a socket, fed with sound, and all that it said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes.engines import FakeEngines
from fakes.servers import QUICK
from halfsecond import wire
from halfsecond.audio import float_to_pcm16
from halfsecond.bus.outbox import Outbox
from halfsecond.config import Config, PhrasesConfig
from halfsecond.models.llm.persona import Persona
from halfsecond.stages.phrases import Phrases
from halfsecond.stages.session import Session

RATE_HZ = 16_000


def tone(seconds: float, *, gain: float = 0.4) -> NDArray[np.float32]:
    at_s = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    return (gain * np.sin(2 * np.pi * 300 * at_s)).astype(np.float32)


def silence(seconds: float) -> NDArray[np.float32]:
    return np.zeros(int(seconds * RATE_HZ), np.float32)


class Visit:
    """A session without a socket, and all that it said."""

    def __init__(self, session: Session, outbox: Outbox, engines: FakeEngines) -> None:
        self.session, self.outbox, self.engines = session, outbox, engines
        self.said: list[wire.Header] = []

    async def hear(self, samples: NDArray[np.float32], *, block_s: float = 0.1) -> None:
        step = int(block_s * RATE_HZ)
        for start in range(0, len(samples), step):
            pcm = float_to_pcm16(samples[start : start + step])
            while not self.session.hear(pcm):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            await asyncio.sleep(0)
        while not self.session._listener.is_caught_up:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async def until(self, kind: type[wire.Header], *, count: int = 1) -> list[wire.Header]:
        """The messages of a kind, once there are `count`."""

        async def wait() -> None:
            while sum(isinstance(m, kind) for m in self.said) < count:
                self.said.append((await self.outbox.next())[0])

        await asyncio.wait_for(wait(), 8)
        return [m for m in self.said if isinstance(m, kind)]

    async def rest(self, seconds: float) -> None:
        """Takes what is said within a time."""
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(self._take(), seconds)

    async def _take(self) -> None:
        while True:
            self.said.append((await self.outbox.next())[0])

    def states(self) -> list[str]:
        return [m.state for m in self.said if isinstance(m, wire.StateChange)]


@asynccontextmanager
async def visit(config: Config = QUICK) -> AsyncIterator[Visit]:
    engines, outbox = FakeEngines(), Outbox()
    handles = engines.handles()
    await handles.open()
    session = Session(
        wire.Hello(video="none"),
        name="s",
        config=config,
        engines=handles,
        persona=Persona(),
        phrases=Phrases(PhrasesConfig()),
        outbox=outbox,
    )
    await session.prepare()
    session.start()
    yield Visit(session, outbox, engines)
    await session.close()
    await handles.close()
