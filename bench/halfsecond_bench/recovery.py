"""How soon a kiosk page is itself again after its server was killed; nobody touches the page."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from halfsecond_bench.chromium import Page, running_chromium
from halfsecond_bench.kiosk_page import running_gateway
from halfsecond_bench.server_process import RunningServer, running_server
from halfsecond_bench.statistics import Distribution, device, distribution, versions

PHASE_LIMIT_S = 60.0
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


@dataclass(frozen=True)
class _Return:
    """After one kill."""

    ready_ms: float
    idle_ms: float
    total_ms: float
    is_answered: bool


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
    away_ms: list[float] = []
    returns: list[_Return] = []
    killed_s = 0.0
    with TemporaryDirectory(prefix="halfsecond-recovery-") as folder:
        address = f"ipc://{Path(folder) / 'server.ipc'}"
        async with running_chromium() as page, running_gateway(address) as url:
            await page.go(url)
            for number in range(kills + 1):
                async with running_server(config_toml, program=program, address=address) as server:
                    if number == 0:
                        await _until_phase(page, "idle")
                        await page.value("globalThis.isTheSamePage = true")
                    else:
                        returns.append(await _return(page, server, killed_s, question))
                        progress()
                    if number < kills:
                        os.kill(server.pid, signal.SIGKILL)
                        killed_s = time.monotonic()
                        await _until_phase(page, "away")
                        away_ms.append(1000 * (time.monotonic() - killed_s))
    return RecoveryReport(
        kills=kills,
        device=device(),
        versions=versions(),
        away_ms=distribution(away_ms),
        server_ready_ms=distribution([back.ready_ms for back in returns]),
        idle_ms=distribution([back.idle_ms for back in returns]),
        total_ms=distribution([back.total_ms for back in returns]),
        answered=sum(back.is_answered for back in returns),
    )


async def _return(page: Page, server: RunningServer, killed_s: float, question: str) -> _Return:
    """Watches the page from the moment on at which the next server is ready."""
    ready_s = time.monotonic()
    await _until_phase(page, "idle")
    idle_s = time.monotonic()
    return _Return(
        ready_ms=1000 * server.ready_s,
        idle_ms=1000 * (idle_s - ready_s),
        total_ms=1000 * (idle_s - killed_s),
        is_answered=await _is_answered(page, question),
    )


async def _until_phase(page: Page, phase: str) -> None:
    await page.until(f"document.body.dataset.phase === '{phase}'", limit_s=PHASE_LIMIT_S)


async def _is_answered(page: Page, question: str) -> bool:
    """Whether the page is the one that was loaded first, and an answer appears on it."""
    same = bool(await page.value("globalThis.isTheSamePage === true"))
    await page.value("document.querySelector('#answer').textContent = ''")
    await page.value(f"kiosk.ask({question!r})")
    await page.until("document.querySelector('#answer').textContent !== ''", limit_s=ANSWER_LIMIT_S)
    return same
