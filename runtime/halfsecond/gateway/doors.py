"""What every request must pass before anything looks at it: name, origin, rate and token."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection

from halfsecond.config import GatewayConfig
from halfsecond.errors import AccessError, ScopeError
from halfsecond.gateway.limits import AddressLimits
from halfsecond.gateway.tokens import ANYBODY, Bearer, Scope, Tokens
from halfsecond.timeline import Now

BURST = 5.0
"""Of `requests_per_s`: a page loads its dozen files at once."""
PROTOCOL = "halfsecond.1"
"""The WebSocket's subprotocol."""
BEARER_PREFIX = "bearer."
"""Subprotocol that carries a token: browsers let a page set no header on a WebSocket."""


class Doors:
    """Decides who comes in. `tokens` is None where nobody is asked for one."""

    def __init__(self, config: GatewayConfig, *, tokens: Tokens | None, now: Now) -> None:
        self._config = config
        self._tokens = tokens
        rate = config.requests_per_s
        self._rates = AddressLimits(rate=rate, burst=BURST * rate, now=now)

    def refusal(self, headers: Headers, address: str) -> tuple[int, str] | None:
        """(status, reason) of why a request is refused whatever it asks for; None if it is not."""
        if not self._rates.take(address):
            return 429, "too many requests; wait a second"
        host = headers.get("host", "")
        if not self._is_known(_name_of(host)):
            return 421, f"this gateway is not reached as {host!r}; add the name to gateway.names"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return 403, "this gateway answers its own page only, not those of other sites"
        return None

    def _is_known(self, name: str) -> bool:
        """A page of a stranger whose name was pointed at this machine is not let in."""
        if self._config.names:
            return name in self._config.names or _is_loopback(name)
        return not self._config.is_private or _is_loopback(name)

    def bearer(self, connection: HTTPConnection, scope: Scope) -> Bearer:
        """Who asks, if they may.

        Raises:
            AccessError: no token, or one that cannot be trusted; ScopeError: without this scope.
        """
        if self._tokens is None:
            return ANYBODY
        token = _token_of(connection.headers)
        if not token:
            raise AccessError("there is no token; make one with `halfsecond token`")
        bearer = self._tokens.read(token)
        if scope not in bearer.scopes:
            raise ScopeError(f"the token does not allow to {scope}; make one with --scope {scope}")
        return bearer


def _token_of(headers: Headers) -> str:
    kind, _, token = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return token.strip()
    for offered in headers.get("sec-websocket-protocol", "").split(","):
        if offered.strip().startswith(BEARER_PREFIX):
            return offered.strip()[len(BEARER_PREFIX) :]
    return ""


def _name_of(host: str) -> str:
    return urlsplit(f"//{host}").hostname or ""


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
