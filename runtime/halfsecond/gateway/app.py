"""The gateway as an ASGI application: pages, HTTP API, WebSocket, WebRTC."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from halfsecond import __version__
from halfsecond.bus.keys import ClientKeys
from halfsecond.config import Config
from halfsecond.errors import AccessError, HalfsecondError, ScopeError, ServerError, WireError
from halfsecond.gateway.doors import Doors
from halfsecond.gateway.machine import read_machine
from halfsecond.gateway.operating import Operator
from halfsecond.gateway.responses import Guarded, body_of, json_response, refused
from halfsecond.gateway.server_watch import ServerWatch
from halfsecond.gateway.tokens import Scope, Tokens
from halfsecond.gateway.visits import Visits
from halfsecond.gateway.webrtc import WebRtcDoor, ice_servers
from halfsecond.gateway.websocket import WebSocketDoor
from halfsecond.timeline import Now, monotonic

MAX_OFFER_BYTES = 64 * 1024
PAGE = Path(__file__).parent / "page"
Handler = Callable[[Request], Awaitable[Response]]


class Gateway:
    """What all handlers share."""

    def __init__(
        self,
        config: Config,
        address: str,
        *,
        tokens: Tokens | None,
        keys: ClientKeys | None = None,
        operator: Operator | None = None,
        now: Now = monotonic,
    ) -> None:
        self.config = config
        self.doors = Doors(config.gateway, tokens=tokens, now=now)
        self.visits = Visits(config, address, keys=keys, now=now)
        self.watch = ServerWatch(address, keys=keys, now=now)
        self.operator = operator or Operator(config.gateway)
        self._ice_servers = ice_servers(config.gateway.ice_servers)
        self._webrtc_door = WebRtcDoor(self.visits, config.gateway.ice_servers, fps=config.face.fps)

    def app(self) -> ASGIApp:
        """The application, with the doors in front."""
        websocket = WebSocketDoor(self.doors, self.visits)
        routes: list[BaseRoute] = [
            Route("/api/health", self._health),
            Route("/api/kiosk", self._behind("talk", self._kiosk)),
            Route("/api/info", self._behind("talk", self._info)),
            Route("/api/operator", self._behind("operate", self._figures)),
            Route(
                "/api/operator/restart", self._behind("operate", self._restart), methods=["POST"]
            ),
            Route(
                "/api/upload/{kind}",
                self._behind("upload", self.visits.desk.take),
                methods=["POST"],
            ),
            WebSocketRoute("/api/talk", websocket.serve),
            Route("/api/webrtc", self._webrtc, methods=["POST"]),
            Route("/operator", self._operator_page),
            Mount("/", StaticFiles(directory=PAGE, html=True)),
        ]
        starlette = Starlette(
            routes=routes,
            lifespan=self._lifespan,
            exception_handlers={HTTPException: _on_http_error},
        )
        return Guarded(starlette, self.doors)

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        watching = asyncio.create_task(self.watch.run())
        try:
            yield
        finally:
            watching.cancel()
            await self._webrtc_door.close()
            await asyncio.gather(watching, return_exceptions=True)

    def _behind(self, scope: Scope, handler: Handler) -> Handler:
        """The handler for those who have the scope."""

        async def checked(request: Request) -> Response:
            try:
                self.doors.bearer(request, scope)
                return await handler(request)
            except AccessError as error:
                return _kept_out(error)
            except HalfsecondError as error:
                return refused(400, type(error).__name__, str(error))

        return checked

    async def _health(self, _: Request) -> Response:
        """For whatever starts the gateway again: no token, and nothing to learn from it."""
        is_there = self.watch.is_there
        return json_response({"is_serving": is_there}, status=200 if is_there else 503)

    async def _kiosk(self, _: Request) -> Response:
        kiosk = self.config.kiosk
        return json_response(
            {
                "title": kiosk.title,
                "languages": kiosk.languages or (self.config.language,),
                "rotate": kiosk.rotate,
                "is_mirrored": kiosk.is_mirrored,
                "has_captions": kiosk.has_captions,
                "has_microphone": kiosk.has_microphone,
                "takes_photos": kiosk.takes_photos,
                "greets": kiosk.greets and bool(self.config.phrases.greeting),
                "rest_after_s": kiosk.rest_after_s,
                "transport": kiosk.transport,
                "sound": kiosk.sound,
                "ice_servers": self._ice_servers,
            }
        )

    async def _info(self, _: Request) -> Response:
        config = self.config
        return json_response(
            {
                "version": __version__,
                "is_serving": self.watch.is_there,
                "languages": config.kiosk.languages or (config.language,),
                "avatars": await asyncio.to_thread(_avatars, config),
                "voices": [config.tts.voice or config.tts.model],
                "questions": [preset.question for preset in config.phrases.presets],
                "has_greeting": bool(config.phrases.greeting),
                "width": config.face.width,
                "height": config.face.height,
                "fps": config.face.fps,
            }
        )

    async def _figures(self, _: Request) -> Response:
        turns = self.visits.turns
        return json_response(
            {
                "version": __version__,
                "at": time.time(),
                "is_serving": self.watch.is_there,
                "round_trip_ms": 1000 * self.watch.round_trip_s if self.watch.is_there else None,
                "visits": self.visits.count,
                "max_visits": self.config.gateway.max_visitors,
                "waits_ms": turns.waits(),
                "last_turn": turns.turns[-1] if turns.turns else None,
                "reasons": turns.reasons(),
                "visit_values": turns.visit_values,
                "machine": await asyncio.to_thread(read_machine),
                "server": await self.operator.server_figures(self.config.log.metrics_port),
                "log": await asyncio.to_thread(self.operator.log_tail),
                "can_restart": self.operator.can_restart,
            }
        )

    async def _restart(self, _: Request) -> Response:
        await self.operator.restart()
        return json_response({"is_restarting": True}, status=202)

    async def _webrtc(self, request: Request) -> Response:
        """Takes an offer, and gives the answer; the visit goes on without the request."""
        try:
            bearer = self.doors.bearer(request, "talk")
            body = await body_of(request, limit_bytes=MAX_OFFER_BYTES)
            return json_response(await self._webrtc_door.answer(body, bearer))
        except AccessError as error:
            return _kept_out(error)
        except ServerError as error:
            return refused(503, "busy", str(error))
        except WireError as error:
            return refused(400, "bad_message", str(error))

    async def _operator_page(self, _: Request) -> Response:
        return RedirectResponse("/operator.html")


def _avatars(config: Config) -> list[str]:
    """Names that a `hello` can wish for: what is installed here, and the config's own face."""
    from halfsecond.models.lipsync.avatar_file import installed_avatars
    from halfsecond.store import Store

    home = Store.default(home=Path(config.models.home) if config.models.home else None).home
    own = Path(config.face.avatar or config.face.portrait or "astronaut").stem
    return [own, *(name for name in installed_avatars(home) if name != own)]


def _kept_out(error: AccessError) -> Response:
    return refused(403 if isinstance(error, ScopeError) else 401, "access", str(error))


async def _on_http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return refused(error.status_code, "http", error.detail)
