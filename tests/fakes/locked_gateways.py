"""A gateway that lets in only whoever brings a token, before a server on fake engines."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from fakes.engines import FakeEngines
from fakes.gateways import Answered, RunningGateway, running_gateway
from fakes.servers import QUICK, RunServer
from halfsecond.config import GatewayConfig, UploadsConfig
from halfsecond.gateway.tokens import Scope, Tokens, make_secret
from halfsecond.uploads.workshop import Workshop

HOUR_S = 3600.0


class Locked:
    """A gateway that asks for tokens, before engines that keep what reaches them."""

    def __init__(self, gateway: RunningGateway, engines: FakeEngines, tokens: Tokens) -> None:
        self.gateway = gateway
        self.engines = engines
        self._tokens = tokens

    def token(self, *scopes: Scope, lasts_s: float = HOUR_S) -> str:
        """A token of the gateway's own secret."""
        return self._tokens.issue(name="test", scopes=scopes, lasts_s=lasts_s)

    @property
    def requests(self) -> int:
        """Questions that any engine was given."""
        stages = (self.engines.asr, self.engines.llm, self.engines.tts)
        return sum(len(stage.requests) for stage in stages)

    @property
    def worn(self) -> list[bytes]:
        """Faces that visitors brought and that are shown."""
        return list(self.engines.lipsync.worn.values())

    async def ask(self, path: str, token: str = "", *, method: str = "GET") -> Answered:
        """What is answered to a request with this token; "": to one without."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return await self.gateway.request(method, path, headers=headers)

    async def post(
        self,
        body: bytes = b"my photo",
        *,
        ticket: str = "",
        token: str | None = None,
        kind: str = "portrait",
        method: str = "POST",
        headers: dict[str, str] | None = None,
    ) -> Answered:
        """Uploads a file; token: None for one that may, "" for none."""
        sent = {"Upload-Ticket": ticket, **(headers or {})}
        token = self.token("upload") if token is None else token
        if token:
            sent["Authorization"] = f"Bearer {token}"
        return await self.gateway.request(method, f"/api/upload/{kind}", body=body, headers=sent)


def forged(*scopes: Scope) -> str:
    """A token that was signed with another secret."""
    return Tokens(bytes(32), clock=time.time).issue(name="x", scopes=scopes, lasts_s=HOUR_S)


@asynccontextmanager
async def locked(
    run_server: RunServer,
    tmp_path: Path,
    *,
    uploads: UploadsConfig | None = None,
    workshop: Workshop | None = None,
    **settings: Any,
) -> AsyncIterator[Locked]:
    """Serves until the block ends; settings: of `[gateway]`, workshop: as `run_server` takes it."""
    secret = tmp_path / "token.secret"
    tokens = Tokens(make_secret(secret), clock=time.time)
    config = msgspec.structs.replace(
        QUICK,
        gateway=GatewayConfig(
            **{"token_secret": str(secret), "requests_per_s": 1000.0, **settings}
        ),
        uploads=uploads or QUICK.uploads,
    )
    async with (
        run_server(config, workshop=workshop) as server,
        running_gateway(config, server.address, clock=time.time) as gateway,
    ):
        yield Locked(gateway, server.engines, tokens)
