"""The gateway of `serve --gateway`: a process of its own, started again when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from pathlib import Path

import structlog

from halfsecond.config import Config
from halfsecond.errors import ConfigError

log = structlog.get_logger(__name__)

AGAIN_S = 1.0
STOP_LIMIT_S = 3.0
USER_MISTAKE = 2


class GatewayProcess:
    """Pages and pictures are written in another process, so that they cost no answer its time."""

    def __init__(self, config: Path | None) -> None:
        self._config = config
        self._process: asyncio.subprocess.Process | None = None

    @staticmethod
    def check(settings: Config) -> None:
        """Raises ConfigError for what the gateway would refuse, before any model is loaded."""
        try:
            from halfsecond.gateway.running import open_gateway
        except ImportError as error:
            raise ConfigError(
                f"the gateway cannot be loaded ({error}); pip install 'halfsecond[gateway]'"
            ) from error
        open_gateway(settings, settings.server.bind)

    async def run(self, address: str) -> None:
        """Keeps a gateway running; raises ConfigError when it refuses to start."""
        options = ["--connect", address, "--parent", str(os.getpid())]
        if self._config is not None:
            options += ["--config", str(self._config)]
        while True:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "halfsecond", "gateway", *options
            )
            code = await self._process.wait()
            if code == USER_MISTAKE:
                raise ConfigError("the gateway cannot start; its message is above")
            log.error("the gateway has ended and is started again", code=code)
            await asyncio.sleep(AGAIN_S)

    async def stop(self) -> None:
        """Ends it; one that does not listen is killed."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_LIMIT_S)
        except asyncio.TimeoutError:
            process.kill()
            await process.wait()
