"""Files of visitors on their way to the server: which visit they belong to, and what is refused."""

from __future__ import annotations

import asyncio
import secrets
from typing import Protocol, get_args
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response

from halfsecond import wire
from halfsecond.config import UploadsConfig
from halfsecond.deadline import within
from halfsecond.errors import ServerError, WireError
from halfsecond.gateway.responses import body_of, json_response, refused
from halfsecond.uploads.intake import MB

TICKET_HEADER = "upload-ticket"
CONSENT_HEADER = "upload-consent"
"""Percent-encoded UTF-8. Neither is part of the address, which proxies write down."""
STATUSES = {"too_large": 413, "too_many": 429, "busy": 409, "too_slow": 408, "not_taken": 404}
"""Of refusals; of a file that was looked at in vain it is 422."""


class Uploader(Protocol):
    """A visit whose session takes files."""

    async def upload(self, kind: wire.UploadKind, data: bytes, *, consent: str) -> wire.Uploaded:
        """What the server says of the file; raises ServerError where it says nothing."""
        ...


class UploadDesk:
    """Gives every session a ticket that nobody can guess, and takes what comes with one."""

    def __init__(self, config: UploadsConfig) -> None:
        self._limit_bytes = int(config.max_mb * MB)
        self._time_limit_s = config.time_limit_s
        self._visits: dict[str, Uploader] = {}
        self._busy: set[str] = set()

    def admit(self, visit: Uploader) -> str:
        """A ticket for the visit."""
        ticket = secrets.token_urlsafe(16)
        self._visits[ticket] = visit
        return ticket

    def withdraw(self, ticket: str) -> None:
        """The session is over, and so is its ticket."""
        self._visits.pop(ticket, None)

    async def take(self, request: Request) -> Response:
        """Passes a file on, and answers with what became of it."""
        kind = request.path_params["kind"]
        if kind not in get_args(wire.UploadKind):
            return refused(404, "not_found", "there is /api/upload/portrait and /api/upload/voice")
        ticket = request.headers.get(TICKET_HEADER, "")
        visit = self._visits.get(ticket)
        if visit is None:
            return refused(
                403, "no_ticket", f"send the `upload` of this visit's welcome as {TICKET_HEADER}"
            )
        if ticket in self._busy:  # before its body is read: a visit has one file in memory
            return refused(409, "busy", "the file before is still being looked at")
        self._busy.add(ticket)
        try:
            return await self._passed_on(request, visit, kind)
        finally:
            self._busy.discard(ticket)

    async def _passed_on(
        self, request: Request, visit: Uploader, kind: wire.UploadKind
    ) -> Response:
        too_large = f"at most {self._limit_bytes / MB:g} MB are taken; save the file smaller"
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self._limit_bytes:
            return refused(413, "too_large", too_large)
        try:
            body = await within(self._time_limit_s, body_of(request, limit_bytes=self._limit_bytes))
        except WireError:
            return refused(413, "too_large", too_large)
        except asyncio.TimeoutError:
            return refused(408, "too_slow", f"it took over {self._time_limit_s:g} s to come in")
        if not body:
            return refused(400, "empty", "there is nothing in it; send the file as the body")
        consent = unquote(request.headers.get(CONSENT_HEADER, ""))
        try:
            said = await visit.upload(kind, body, consent=consent)
        except ServerError as error:
            return refused(503, "away", str(error))
        if said.is_taken:
            return json_response({"kind": kind, "is_taken": True, "message": said.message})
        return refused(STATUSES.get(said.reason, 422), said.reason, said.message)
