"""All visits of a gateway: how many there may be, and what each is made of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from halfsecond import wire
from halfsecond.bus.keys import ClientKeys
from halfsecond.bus.outbox import Outbox
from halfsecond.client import Client
from halfsecond.config import Config
from halfsecond.gateway.browser import BrowserHello
from halfsecond.gateway.turn_log import TurnLog
from halfsecond.gateway.upload_desk import UploadDesk
from halfsecond.gateway.visit import Visit
from halfsecond.timeline import Now, monotonic

OPEN_LIMIT_S = 2.0
"""A server that does not answer by then is away; the visit goes on trying."""


class Visits:
    """Hands out places, and makes visits."""

    def __init__(
        self,
        config: Config,
        address: str,
        *,
        keys: ClientKeys | None = None,
        turns: TurnLog | None = None,
        now: Now = monotonic,
    ) -> None:
        self._config = config
        self._address = address
        self._keys = keys
        self._taken = 0
        self.desk = UploadDesk(config.uploads)
        self.turns = turns or TurnLog(keeps_words=config.log.has_transcripts)
        self.now = now
        self.limit_s = config.gateway.visit_limit_s
        self.stall_limit_s = config.server.stall_timeout_s

    @property
    def count(self) -> int:
        """Browsers that are connected."""
        return self._taken

    @contextmanager
    def place(self) -> Iterator[bool]:
        """Whether there is a place for one more; it is kept until the block ends."""
        is_free = self._taken < self._config.gateway.max_visitors
        self._taken += is_free
        try:
            yield is_free
        finally:
            self._taken -= is_free

    def busy(self) -> wire.Busy:
        """What a browser is told for which there is no place."""
        return wire.Busy(sessions=self._taken, limit=self._config.gateway.max_visitors)

    def visit(
        self, hello: BrowserHello, outbox: Outbox, *, video: wire.VideoFormat = "jpeg"
    ) -> Visit:
        """A visit that is not running yet."""
        wishes = wire.Hello(
            client=hello.client[:80] or "browser",
            language=hello.language,
            avatar=hello.avatar,
            voice=hello.voice,
            audio_rate_hz=hello.audio_rate_hz,
            audio_channels=hello.audio_channels,
            video="none" if hello.video == "none" else video,
            wants_idle=hello.wants_idle,
            fps=hello.fps,
        )
        return Visit(
            wishes,
            outbox,
            open_client=self.client,
            turns=self.turns,
            desk=self.desk,
            now=self.now,
        )

    def client(self, hello: wire.Hello) -> Client:
        """A client of the server, not yet open."""
        return Client(
            self._address,
            hello=msgspec.structs.replace(hello, credit=50),
            keys=self._keys,
            timeout_s=OPEN_LIMIT_S,
            now=self.now,
        )
