"""The face of one session between answers: made ready, kept alive, put away."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from halfsecond import wire
from halfsecond.bus.outbox import Outbox
from halfsecond.errors import HalfsecondError
from halfsecond.models.lipsync.mood import MoodName
from halfsecond.stages.lipsync import Action, LipSyncRequest, Picture, picture_format
from halfsecond.stages.stage import Cancel, StageHandle
from halfsecond.stages.worn_faces import LEASE_S


class Face:
    """What a session asks of the lip-sync stage outside its turns; nothing without video."""

    def __init__(
        self,
        session: str,
        lipsync: StageHandle[LipSyncRequest, Picture],
        *,
        outbox: Outbox,
        video: wire.VideoFormat,
        avatar: str = "",
        fps: int = 0,
    ) -> None:
        """avatar: the face that the client wants; empty: the server's.

        fps: how many pictures of speech a second it wants; 0: the server's.
        """
        self._session = session
        self._lipsync = lipsync
        self._outbox = outbox
        self._video = video
        self._avatar = avatar
        self._fps = fps
        self.first: Picture | None = None
        """What the driver showed when it was made ready: whose face it is, and its size."""

    async def open(self) -> None:
        """Makes the session's driver ready; raises HalfsecondError where it cannot be."""
        async for picture in self._ask("open"):
            self.first = picture

    async def wear(self, face: bytes) -> None:
        """Shows a visitor's own face, a packed avatar, for the rest of the session.

        Outside of any stream of a turn. Raises HalfsecondError where it cannot be shown.
        """
        async for picture in self._ask("wear", face=face):
            self.first = picture

    async def keep(self) -> None:
        """Goes on wanting that face; where it is drawn it is forgotten otherwise."""
        while True:
            await asyncio.sleep(LEASE_S / 3)
            with contextlib.suppress(HalfsecondError):  # the next answer will report it
                async for _ in self._ask("keep"):
                    pass

    async def close(self) -> None:
        """Puts the driver away; a stage that is gone has none."""
        with contextlib.suppress(HalfsecondError):
            async for _ in self._ask("close"):
                pass

    async def rest(
        self,
        *,
        fps: int,
        is_busy: Callable[[], bool],
        generation: Callable[[], int],
        mood: Callable[[], MoodName],
    ) -> None:
        """Sends the resting face at `fps`, unless a turn draws, for as long as it is wanted."""
        while fps and self._video != "none":
            await asyncio.sleep(1.0 / fps)
            if is_busy() or not self._outbox.wants_pictures:
                continue
            with contextlib.suppress(HalfsecondError):  # the next answer will report it
                async for picture in self._ask("idle", mood()):
                    self._show(picture, generation())

    async def _ask(
        self, action: Action, mood: MoodName = "idle", *, face: bytes = b""
    ) -> AsyncIterator[Picture]:
        if self._video == "none":
            return
        request = LipSyncRequest(
            session=self._session,
            action=action,
            format=picture_format(self._video),
            mood=mood,
            avatar=self._avatar,
            face=face,
            fps=self._fps,
        )
        async for picture in self._lipsync.run(request, Cancel()):
            yield picture

    def _show(self, picture: Picture, generation: int) -> None:
        header = wire.Video(
            session=self._session,
            generation=generation,
            width=picture.width,
            height=picture.height,
            format=picture.format,
        )
        self._outbox.put(header, picture.data)
