"""`halfsecond gateway`, `token` and `certificate`: the browser's way in, and its locks."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import structlog
import typer

from halfsecond import log as logs
from halfsecond.cli.options import ConfigFile, KeysDir
from halfsecond.config import Config, load
from halfsecond.errors import ConfigError
from halfsecond.uploads.confinement import leave_no_core_dump
from halfsecond.uploads.intake import taken_kinds

if TYPE_CHECKING:
    import uvicorn

    from halfsecond.gateway.app import Gateway

log = structlog.get_logger(__name__)

PARENT_CHECK_S = 0.5
EXTRA = "pip install 'halfsecond[gateway]' brings what it needs"


def gateway(
    config: ConfigFile = None,
    connect: Annotated[
        str | None, typer.Option(help="Address of the server, instead of the config's.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen at.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen at.")] = None,
    keys: KeysDir = None,
    parent: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Open the server to browsers: the kiosk page, the operator's page, HTTP and WebSocket."""
    settings = with_address(load(config), host=host, port=port, keys=keys)
    try:
        from halfsecond.gateway.operating import LogTail, Operator
        from halfsecond.gateway.running import open_gateway
    except ImportError as error:
        raise ConfigError(f"the gateway cannot be loaded ({error}); {EXTRA}") from error
    if taken_kinds(settings.uploads):
        leave_no_core_dump()
    tail = LogTail()
    logs.configure(settings.log, tail=tail)
    address = connect or settings.gateway.connect or settings.server.bind
    operator = Operator(settings.gateway, parent=parent, tail=tail)
    asyncio.run(_serve(open_gateway(settings, address, operator=operator), address, parent))


def with_address(
    settings: Config, *, host: str | None, port: int | None, keys: Path | None
) -> Config:
    """The config with what the command line says instead."""
    from msgspec.structs import replace

    gateway = settings.gateway
    return replace(
        settings,
        gateway=replace(
            gateway,
            host=host or gateway.host,
            port=gateway.port if port is None else port,
            keys=str(keys) if keys else gateway.keys,
        ),
    )


async def _serve(opened: Gateway, address: str, parent: int | None) -> None:
    from halfsecond.gateway.running import listen, url_of, web_server

    config = opened.config.gateway
    bound = listen(config)
    server = web_server(opened)
    log.info("ready", page=url_of(config, bound), server=address)
    watching = asyncio.create_task(_end_with(parent, server)) if parent else None
    await server.serve(sockets=[bound])
    if watching is not None:
        watching.cancel()
    log.info("stopped")


async def _end_with(parent: int, server: uvicorn.Server) -> None:
    """A server that was killed leaves no gateway behind that keeps the port."""
    while True:
        await asyncio.sleep(PARENT_CHECK_S)
        if os.getppid() != parent:
            server.should_exit = True
            return


def token(
    secret: Annotated[
        Path | None, typer.Option(help="Secret file; made where there is none.")
    ] = None,
    config: ConfigFile = None,
    scope: Annotated[
        list[str] | None, typer.Option(help="talk, upload or operate; can be repeated.")
    ] = None,
    name: Annotated[str, typer.Option(help="Who it is for, as logs name it.")] = "kiosk",
    days: Annotated[float, typer.Option(help="How long it can be used.")] = 30.0,
) -> None:
    """Make a token that lets a browser in; it is printed, and stored nowhere."""
    try:
        from halfsecond.gateway.tokens import SCOPES, Scope, Tokens, make_secret
    except ImportError as error:
        raise ConfigError(f"tokens cannot be made ({error}); {EXTRA}") from error
    configured = load(config).gateway.token_secret
    path = secret or (Path(configured) if configured else None)
    if path is None:
        raise ConfigError("say where the secret is: --secret FILE, or gateway.token_secret")
    wanted = scope or ["talk"]
    scopes: list[Scope] = [known for known in SCOPES if known in wanted]
    if unknown := sorted(set(wanted) - set(SCOPES)):
        raise ConfigError(
            f"there is no scope {unknown[0]!r}; it can be one of: {', '.join(SCOPES)}"
        )
    if not 0 < days <= 3660:
        raise ConfigError(f"--days is {days:g}; a token lasts more than 0 and at most 3660 days")
    tokens = Tokens(make_secret(path), clock=time.time)
    typer.echo(tokens.issue(name=name, scopes=scopes, lasts_s=days * 86_400))


def certificate(
    directory: Annotated[Path, typer.Argument(help="Where the CA and the certificate are kept.")],
    name: Annotated[
        list[str], typer.Option(help="Name or IP address of this machine; can be repeated.")
    ],
) -> None:
    """Make a TLS certificate for this machine, signed by a CA of its own."""
    try:
        from halfsecond.gateway.certificates import make_certificate
    except ImportError as error:
        raise ConfigError(f"no certificate can be made ({error}); {EXTRA}") from error
    made = make_certificate(directory, name, clock=time.time)
    typer.echo(f"set gateway.certificate = {str(made)!r} in the config of the gateway")
    typer.echo(f"let browsers trust {directory / 'ca.crt'}; {directory / 'ca.key'} stays here")
