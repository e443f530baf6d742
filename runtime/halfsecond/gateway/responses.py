"""What every answer carries: headers that keep a browser from doing more than it must."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from halfsecond.errors import WireError
from halfsecond.gateway.doors import Doors

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "media-src 'self' blob:; connect-src 'self'; worker-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""No script, style or picture but the page's own, and nobody may frame it."""
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "microphone=(self), camera=(), geolocation=(), payment=(), usb=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


def json_response(content: Any, *, status: int = 200) -> Response:
    """What msgspec can write, as JSON."""
    return Response(msgspec.json.encode(content), status, media_type="application/json")


def refused(status: int, code: str, message: str) -> Response:
    """A refusal that a program and a person can read."""
    return json_response({"error": code, "message": message}, status=status)


async def body_of(request: Request, *, limit_bytes: int) -> bytes:
    """What was posted; raises WireError as soon as it is too long."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > limit_bytes:
            raise WireError(f"at most {limit_bytes} bytes are taken here")
    return bytes(body)


class Guarded:
    """Everything behind the doors, with the headers on every answer."""

    def __init__(self, app: ASGIApp, doors: Doors) -> None:
        self._app = app
        self._doors = doors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on what is not refused."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        address = scope["client"][0] if scope.get("client") else ""
        refusal = self._doors.refusal(Headers(scope=scope), address)
        guarded_send = _with_headers(send)
        if refusal is None:
            await self._app(scope, receive, guarded_send)
            return
        status, reason = refusal
        if scope["type"] == "http":
            await refused(status, "refused", reason)(scope, receive, guarded_send)
        else:
            await receive()  # websocket.connect; closed before it is accepted is an HTTP 403
            await send({"type": "websocket.close", "code": 1008, "reason": reason})


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return send_with_headers
