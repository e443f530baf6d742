"""The face of one session between answers: made ready, kept alive, put away."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from halfsecond import wire
from halfsecond.bus.outbox import Outbox
from halfsecond.errors import HalfsecondError
from halfsecond.stages.lipsync import Action, LipSyncRequest, Picture, picture_format
from halfsecond.stages.stage import Cancel, StageHandle


class Face:
    """What a session asks of the lip-sync stage outside its turns; nothing without video."""

    def __init__(
        self,
        session: str,
        lipsync: StageHandle[LipSyncRequest, Picture],
        *,
        outbox: Outbox,
        video: wire.VideoFormat,
    ) -> None:
        self._session = session
        self._lipsync = lipsync
        self._outbox = outbox
        self._video = video

    async def open(self) -> None:
        """Makes the session's driver ready; raises HalfsecondError where it cannot be."""
        await self._ask("open")

    async def close(self) -> None:
        """Puts the driver away; a stage that is gone has none."""
        with contextlib.suppress(HalfsecondError):
            await self._ask("close")

    async def rest(
        self, *, fps: int, is_busy: Callable[[], bool], generation: Callable[[], int]
    ) -> None:
        """Sends the resting face at `fps`, unless a turn draws, for as long as it is wanted."""
        while fps and self._video != "none":
            await asyncio.sleep(1.0 / fps)
            if is_busy() or not self._outbox.wants_pictures:
                continue
            with contextlib.suppress(HalfsecondError):  # the next answer will report it
                await self._ask("idle", generation)

    async def _ask(self, action: Action, generation: Callable[[], int] = lambda: 0) -> None:
        if self._video == "none":
            return
        request = LipSyncRequest(
            session=self._session, action=action, format=picture_format(self._video)
        )
        async for picture in self._lipsync.run(request, Cancel()):
            header = wire.Video(
                session=self._session,
                generation=generation(),
                width=picture.width,
                height=picture.height,
                format=picture.format,
            )
            self._outbox.put(header, picture.data)
