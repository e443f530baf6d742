"""The pipeline's heartbeat: the watchdog is fed only while every engine gets on with its work."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import structlog

from halfsecond.errors import HalfsecondError
from halfsecond.stages.local import LocalStage
from halfsecond.stages.stage import Health, StageHandle
from halfsecond.systemd import ServiceManager

log = structlog.get_logger(__name__)

STUCK_S = 120.0
"""An engine that has given nothing for this long hangs. The longest step that is none: a language
model that reads a whole page of facts on a small board. A server at an OpenAI-compatible address is
given up after 25 s."""
UNWATCHED_INTERVAL_S = 10.0
BEATS_A_LIMIT = 4
"""How often a sign of life is sent within the manager's limit: one may be lost, or be late."""


class Heartbeat:
    """Looks at the stages of this process at regular times, and tells the manager.

    A stage at an address is told of in the status and stops no beat: it has a unit of its own, and
    to start this process again would take the voice for want of a face.
    """

    def __init__(
        self,
        stages: Iterable[StageHandle[Any, Any]],
        manager: ServiceManager,
        *,
        stuck_s: float = STUCK_S,
    ) -> None:
        self._stages = list(stages)
        self._manager = manager
        self._stuck_s = stuck_s
        self._last_fault = ""

    async def run(self) -> None:
        """Beats until it is cancelled."""
        limit_s = self._manager.watchdog_s
        interval_s = limit_s / BEATS_A_LIMIT if limit_s else UNWATCHED_INTERVAL_S
        while True:
            await self.beat()
            await asyncio.sleep(interval_s)

    async def beat(self) -> None:
        """One look at every stage, and the sign of life if none of this process hangs."""
        faults: list[str] = []
        away: list[str] = []
        for stage in self._stages:
            fault = await self._fault_of(stage)
            if fault:
                (faults if isinstance(stage, LocalStage) else away).append(fault)
        if faults:
            self._manager.say("; ".join(faults))
        else:
            self._manager.beat("; ".join(away) or "ready")
        self._log("; ".join(faults + away))

    async def _fault_of(self, stage: StageHandle[Any, Any]) -> str:
        try:
            health = await stage.health()
        except HalfsecondError as error:
            return str(error)
        return self._judged(health)

    def _judged(self, health: Health) -> str:
        if not health.is_ready:
            return f"stage {health.stage} is not ready: {health.detail}"
        if health.busy_s > self._stuck_s:
            return f"stage {health.stage} has given nothing for {health.busy_s:.0f} s"
        return ""

    def _log(self, fault: str) -> None:
        """Once when something changes, not at every beat."""
        if fault and fault.split(" for ")[0] != self._last_fault.split(" for ")[0]:
            log.error("a stage is not well", fault=fault)
        elif self._last_fault and not fault:
            log.info("all stages are well again")
        self._last_fault = fault
