"""What an operator sees of the server and does to it: its figures, its log, a restart."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import deque
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import structlog

from halfsecond.config import GatewayConfig
from halfsecond.errors import ConfigError
from halfsecond.metrics_page import read_figures

log = structlog.get_logger(__name__)

TAIL_LINES = 100
TAIL_BYTES = 64 * 1024


class LogTail:
    """Keeps the newest lines of this process; a structlog processor before the renderer."""

    def __init__(self) -> None:
        self.lines: deque[str] = deque(maxlen=TAIL_LINES)

    def __call__(
        self, _: Any, __: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Notes a line, and passes it on."""
        head = [str(event.get(key, "")) for key in ("timestamp", "level", "event")]
        rest = [f"{k}={v}" for k, v in event.items() if k not in ("timestamp", "level", "event")]
        self.lines.append(" ".join((*head, *rest)))
        return event


class Operator:
    """parent: the process of `serve --gateway` that starts its server again at SIGHUP; None where
    the gateway was started by itself."""

    def __init__(
        self,
        config: GatewayConfig,
        *,
        parent: int | None = None,
        tail: LogTail | None = None,
    ) -> None:
        self._config = config
        self._parent = parent
        self._tail = tail or LogTail()

    @property
    def can_restart(self) -> bool:
        """Whether `restart` does anything."""
        return bool(self._config.restart_command) or self._parent is not None

    async def restart(self) -> None:
        """Starts the server again.

        Raises:
            ConfigError: nothing is set that does so, or the command failed.
        """
        log.warning("the operator restarts the server")
        if self._config.restart_command:
            await self._run(self._config.restart_command)
        elif self._parent is not None:
            os.kill(self._parent, signal.SIGHUP)
        else:
            raise ConfigError("set gateway.restart_command, or start with `serve --gateway`")

    async def _run(self, command: tuple[str, ...]) -> None:
        try:
            process = await asyncio.create_subprocess_exec(
                *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
            )
        except OSError as error:
            raise ConfigError(f"gateway.restart_command: {command[0]}: {error.strerror}") from error
        _, complaint = await process.communicate()
        if process.returncode:
            told = complaint.decode(errors="replace").strip()
            raise ConfigError(f"gateway.restart_command ended with {process.returncode}: {told}")

    async def server_figures(self, metrics_port: int) -> dict[str, float] | None:
        """The server's figures by name and label; None where it offers none."""
        if not metrics_port:
            return None
        try:
            return await asyncio.to_thread(read_figures, metrics_port)
        except OSError:
            return None

    def log_tail(self) -> list[str]:
        """The newest lines of `gateway.log_file`, or of this process."""
        if not self._config.log_file:
            return list(self._tail.lines)
        path = Path(self._config.log_file)
        try:
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - TAIL_BYTES))
                return file.read().decode(errors="replace").splitlines()[-TAIL_LINES:]
        except OSError as error:
            return [f"{path} cannot be read: {error.strerror}"]
