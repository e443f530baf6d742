"""How soon a kiosk page is itself again after its server was killed; nobody touches the page."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from halfsecond.errors import ServerError
from halfsecond_bench.chromium import Page, chromium_program, running_chromium
from halfsecond_bench.kiosk_page import running_gateway
from halfsecond_bench.server_process import running_server
from halfsecond_bench.statistics import Distribution, device, distribution, versions

START_LIMIT_S = 60.0
ANSWER_LIMIT_S = 30.0


class RecoveryReport(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="recovery"):
    """The result of `bench recovery`, in milliseconds."""

    kills: int
    device: str
    versions: dict[str, str]
    away_ms: Distribution
    """From `SIGKILL` to the message on the page that the server is missing."""
    server_ready_ms: Distribution
    """From the start of the next server, when the page has said so, to its "ready"."""
    idle_ms: Distribution
    """From that to the page that waits for visitors again."""
    total_ms: Distribution
    """From `SIGKILL` to that."""
    answered: int
    """Kills after which the same page, never loaded again, got an answer to a typed question."""


async def measure(
    *,
    kills: int,
    config_toml: str,
    question: str,
    program: Sequence[str] = ("halfsecond", "serve"),
    progress: Callable[[], None] = lambda: None,
) -> RecoveryReport:
    """Kills the server under one page, again and again, and starts the next at the same address.

    Raises:
        ServerError: a server, the gateway or the browser did not start.
    """
    if chromium_program() is None:
        raise ServerError("there is no chromium here; apt-get install chromium")
    away: list[float] = []
    ready: list[float] = []
    idle: list[float] = []
    total: list[float] = []
    answered = 0
    with TemporaryDirectory(prefix="halfsecond-recovery-") as folder:
        address = f"ipc://{Path(folder) / 'server.ipc'}"
        async with running_gateway(address) as url, running_chromium() as page:
            await page.go(url)
            killed_s = 0.0
            for number in range(kills + 1):
                async with running_server(config_toml, program=program, address=address) as server:
                    ready_s = time.monotonic()
                    await page.until(
                        "document.body.dataset.phase === 'idle'", limit_s=START_LIMIT_S
                    )
                    idle_s = time.monotonic()
                    if number:
                        ready.append(1000 * server.ready_s)
                        idle.append(1000 * (idle_s - ready_s))
                        total.append(1000 * (idle_s - killed_s))
                        answered += await _is_answered(page, question)
                        progress()
                    else:
                        await page.value("globalThis.isTheSamePage = true")
                    if number == kills:
                        break
                    os.kill(server.pid, signal.SIGKILL)
                    killed_s = time.monotonic()
                    await page.until("document.body.dataset.phase === 'away'")
                    away.append(1000 * (time.monotonic() - killed_s))
    return RecoveryReport(
        kills=kills,
        device=device(),
        versions=versions(),
        away_ms=distribution(away),
        server_ready_ms=distribution(ready),
        idle_ms=distribution(idle),
        total_ms=distribution(total),
        answered=answered,
    )


async def _is_answered(page: Page, question: str) -> bool:
    """Whether the page is the one that was loaded first, and an answer appears on it."""
    same = bool(await page.value("globalThis.isTheSamePage === true"))
    await page.value("document.querySelector('#answer').textContent = ''")
    await page.value(f"kiosk.ask({question!r})")
    await page.until("document.querySelector('#answer').textContent !== ''", limit_s=ANSWER_LIMIT_S)
    return same
