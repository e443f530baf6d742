"""Listening: what an address needs before it is opened, and the web server that is opened there."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import structlog
import uvicorn

from halfsecond.bus.keys import load_client_keys
from halfsecond.config import Config, GatewayConfig
from halfsecond.errors import ConfigError
from halfsecond.gateway.app import Gateway
from halfsecond.gateway.certificates import read_validity
from halfsecond.gateway.operating import Operator
from halfsecond.gateway.tokens import Tokens, WallClock, load_secret

log = structlog.get_logger(__name__)

MAX_MESSAGE_BYTES = 256 * 1024
"""Of the WebSocket: more than a second of sound, the most that a message may hold."""
MAX_HEAD_BYTES = 16 * 1024
CONNECTIONS_PER_VISITOR = 16
"""Browsers open half a dozen for a page's files; more is somebody who wants them all."""
STOP_LIMIT_S = 2


def certificate_key(config: GatewayConfig) -> str:
    """The private key's file."""
    return config.certificate_key or str(Path(config.certificate).with_suffix(".key"))


def check_exposure(config: GatewayConfig) -> None:
    """Raises ConfigError for an address that others can reach while its locks are not set."""
    if config.is_private:
        return
    where = f"{config.host} can be reached from other machines, so it needs"
    if not config.certificate:
        raise ConfigError(
            f"{where} TLS: run `halfsecond certificate DIRECTORY --name NAME` and set "
            "gateway.certificate, or listen at 127.0.0.1"
        )
    if not config.token_secret:
        raise ConfigError(
            f"{where} tokens: set gateway.token_secret to a file that `halfsecond token` makes, "
            "or listen at 127.0.0.1"
        )


def open_gateway(
    config: Config, address: str, *, operator: Operator | None = None, clock: WallClock = time.time
) -> Gateway:
    """A gateway with its locks.

    Raises:
        ConfigError: a lock is missing, or cannot be read.
    """
    check_exposure(config.gateway)
    secret = config.gateway.token_secret
    tokens = Tokens(load_secret(Path(secret)), clock=clock) if secret else None
    keys = load_client_keys(Path(config.gateway.keys)) if config.gateway.keys else None
    return Gateway(config, address, tokens=tokens, keys=keys, operator=operator)


def listen(config: GatewayConfig) -> socket.socket:
    """A socket at which browsers wait until they are served.

    Raises:
        ConfigError: the address cannot be had.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            config.host, config.port, type=socket.SOCK_STREAM
        )[0]
        bound = socket.socket(family, kind)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen()
    except OSError as error:
        raise ConfigError(
            f"cannot listen at {config.host} port {config.port}: {error.strerror or error}; "
            "choose another with --port"
        ) from error
    return bound


def url_of(config: GatewayConfig, bound: socket.socket) -> str:
    """What to type into a browser on this machine."""
    scheme = "https" if config.certificate else "http"
    host = config.names[0] if config.names else config.host
    name = f"[{host}]" if ":" in host else host
    return f"{scheme}://{name}:{bound.getsockname()[1]}/"


def web_server(gateway: Gateway, *, clock: WallClock = time.time) -> uvicorn.Server:
    """The web server, not yet started; `serve(sockets=[...])` runs it.

    Raises:
        ConfigError: the certificate cannot be used.
    """
    config = gateway.config.gateway
    return uvicorn.Server(
        uvicorn.Config(
            gateway.app(),
            http="h11",
            ws="websockets-sansio",
            ws_max_size=MAX_MESSAGE_BYTES,
            ws_per_message_deflate=False,  # sound and JPEG do not become smaller
            ws_ping_interval=5.0,
            ws_ping_timeout=10.0,
            h11_max_incomplete_event_size=MAX_HEAD_BYTES,
            limit_concurrency=CONNECTIONS_PER_VISITOR * (config.max_visitors + 1),
            timeout_graceful_shutdown=STOP_LIMIT_S,
            access_log=False,  # addresses of visitors are nobody's business
            log_config=None,
            server_header=False,
            proxy_headers=False,
            **_tls(config, clock),
        )
    )


def _tls(config: GatewayConfig, clock: WallClock) -> dict[str, Any]:
    if not config.certificate:
        return {}
    validity = read_validity(Path(config.certificate), clock=clock)
    if validity.is_not_yet or validity.days_left < 0:
        # Served all the same: browsers say what is wrong, and the kiosk may be told to go on.
        log.error(
            "the certificate is not valid now; check the clock, or run `halfsecond certificate`",
            days_left=round(validity.days_left, 1),
        )
    key = certificate_key(config)
    if not Path(key).is_file():
        raise ConfigError(f"there is no private key {key}; set gateway.certificate_key")
    return {"ssl_certfile": config.certificate, "ssl_keyfile": key}
