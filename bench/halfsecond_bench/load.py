"""One to N visitors at once, each at the pace of real time: where does the wait break, and why."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from halfsecond import audio, wire
from halfsecond.client import Client
from halfsecond.conversation import Exchange, Visitor
from halfsecond.errors import AudioError, ServerError
from halfsecond_bench.clips import Clip
from halfsecond_bench.load_figures import Level, LoadReport, level_of, report_of
from halfsecond_bench.metrics_page import MetricsPage
from halfsecond_bench.server_process import RunningServer, running_server

LEAST_TURNS_EACH = 3
BETWEEN_TURNS_S = (0.5, 1.5)
"""A visitor breathes, and thinks."""
OFFSET_S = 6.0
"""Visitors come spread over the length of one turn, so that they do not all ask at once."""
ANSWER_LIMIT_S = 30.0
"""Of one turn; an answer that has not ended by then counts as none. The longest takes some 12 s."""
CLOSED_LIMIT_S = 5.0

Progress = Callable[[int], None]
"""Told how many visitors are served next."""


@dataclass
class Crowd:
    """What the visitors of one level met with."""

    exchanges: list[tuple[Clip, Exchange]] = field(default_factory=list)
    refused: int = 0
    failures: list[str] = field(default_factory=list)


async def measure(
    clips: Sequence[Clip],
    *,
    sessions: int,
    turns: int,
    budget_ms: float,
    seed: int,
    config_toml: str,
    metrics_port: int,
    profile: str,
    threads: dict[str, int],
    progress: Progress | None = None,
) -> LoadReport:
    """Levels of 1, 2 … `sessions` visitors with `turns` turns each level, until one breaks.

    Raises:
        ServerError: the server did not start.
    """
    sounds = {clip.file: audio.load(clip.path).samples for clip in clips}
    chance = random.Random(seed)
    levels: list[Level] = []
    async with running_server(config_toml) as server:
        street = _Street(server, MetricsPage(metrics_port), clips, sounds, chance)
        await street.level(1, 1)  # the first turn pays for what is loaded lazily
        for count in range(1, sessions + 1):
            if progress is not None:
                progress(count)
            levels.append(await street.level(count, max(LEAST_TURNS_EACH, -(-turns // count))))
            if not levels[-1].is_within(budget_ms):
                break
    return report_of(levels, budget_ms=budget_ms, seed=seed, profile=profile, threads=threads)


@dataclass
class _Street:
    """Sends visitors to one server."""

    server: RunningServer
    metrics: MetricsPage
    clips: Sequence[Clip]
    sounds: dict[str, NDArray[np.float32]]
    chance: random.Random

    async def level(self, count: int, turns_each: int) -> Level:
        """`count` visitors at once."""
        loop, crowd = asyncio.get_running_loop(), Crowd()
        before, cpu_s, own_s = await self._page(), self.server.cpu_s(), _own_cpu_s()
        began_s = loop.time()
        await asyncio.gather(
            *(self._visit(crowd, self._plan(count, turns_each)) for _ in range(count))
        )
        took_s = loop.time() - began_s
        cores = (self.server.cpu_s() - cpu_s) / took_s, (_own_cpu_s() - own_s) / took_s
        rss_mb = self.server.rss_mb()
        after = await self._closed_page()
        return level_of(
            crowd.exchanges,
            sessions=count,
            refused=crowd.refused,
            failures=crowd.failures,
            server_cores=cores[0],
            client_cores=cores[1],
            rss_mb=rss_mb,
            dropped_pictures=int(_dropped(after) - _dropped(before)),
        )

    def _plan(self, count: int, turns: int) -> list[tuple[float, Clip]]:
        """(wait in seconds, question) of each turn, drawn before anybody speaks."""
        first_s = self.chance.uniform(0.0, OFFSET_S) if count > 1 else 0.0
        waits_s = [first_s, *(self.chance.uniform(*BETWEEN_TURNS_S) for _ in range(turns - 1))]
        return [(wait_s, self.chance.choice(self.clips)) for wait_s in waits_s]

    async def _visit(self, crowd: Crowd, plan: Sequence[tuple[float, Clip]]) -> None:
        hello = wire.Hello(client="halfsecond bench load", credit=200)
        client = Client(self.server.address, hello=hello)
        try:
            await client.open()
        except ServerError as error:
            crowd.refused += 1
            crowd.failures.append(str(error))
            return
        visitor = Visitor(client)
        try:
            for wait_s, clip in plan:
                await asyncio.sleep(wait_s)
                said = await visitor.say(self.sounds[clip.file], timeout_s=ANSWER_LIMIT_S)
                crowd.exchanges.append((clip, said))
        except (ServerError, AudioError) as error:
            crowd.failures.append(str(error))
        finally:
            await visitor.close()
            await client.close()

    async def _page(self) -> dict[str, float]:
        return await asyncio.to_thread(self.metrics.read)

    async def _closed_page(self) -> dict[str, float]:
        """The page once the sessions are closed, which is when lost pictures are counted."""
        loop = asyncio.get_running_loop()
        give_up_s = loop.time() + CLOSED_LIMIT_S
        while True:
            page = await self._page()
            if not page.get("sessions", 0.0) or loop.time() > give_up_s:
                return page
            await asyncio.sleep(0.1)


def _dropped(page: dict[str, float]) -> float:
    return page.get("dropped_pictures_total", 0.0)


def _own_cpu_s() -> float:
    times = os.times()
    return times.user + times.system
