"""What one visitor brought: taken in, made ready, used by the session, and forgotten with it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import date

import structlog

from halfsecond import wire
from halfsecond.bus.outbox import Outbox
from halfsecond.config import UploadsConfig
from halfsecond.errors import ConfigError, ModelError, StageError
from halfsecond.models.face.portrait import DEFAULT_SIZE
from halfsecond.models.tts.voice import SpeechChunk
from halfsecond.stages.face import Face
from halfsecond.stages.stage import Cancel, StageHandle
from halfsecond.stages.tts import TtsRequest
from halfsecond.timeline import Now
from halfsecond.uploads.intake import Intake, Refusal, WholeFile
from halfsecond.uploads.job import Job, Made
from halfsecond.uploads.workshop import Workshop

log = structlog.get_logger(__name__)

LOOK_S = 0.04
"""Between two looks whether an answer is still drawn: the face changes when it is over."""


class VisitorFiles:
    """Of one session, on the event loop. `is_drawing` tells whether a turn has the face."""

    def __init__(
        self,
        session: str,
        config: UploadsConfig,
        workshop: Workshop | None,
        *,
        face: Face,
        tts: StageHandle[TtsRequest, SpeechChunk],
        outbox: Outbox,
        is_drawing: Callable[[], bool],
        now: Now,
    ) -> None:
        """workshop: where files are looked at; None where none are taken."""
        self._session = session
        self._workshop = workshop
        self._face = face
        self._tts = tts
        self.voiceprint = b""
        """Of the visitor, for answers that begin from now on; empty: the server's voice."""
        self._outbox = outbox
        self._is_drawing = is_drawing
        self._intake = Intake(config if workshop is not None else UploadsConfig(), now=now)
        self._work: asyncio.Task[None] | None = None
        self._keeping: asyncio.Task[None] | None = None

    def take(self, piece: wire.Upload, payload: bytes) -> None:
        """Takes a piece of a file; `uploaded` says what became of it once it is whole.

        Raises:
            WireError: the piece does not follow the one before.
        """
        taken = self._intake.take(piece, payload)
        if isinstance(taken, Refusal):
            self._answer(piece.kind, Made(reason=taken.reason, message=taken.message))
        elif taken is not None and self._workshop is not None:
            self._intake.is_held = True
            self._work = asyncio.create_task(self._make(taken, self._workshop))

    async def close(self) -> None:
        """Forgets everything."""
        self._intake.drop()
        for task in (self._work, self._keeping):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        self._work = self._keeping = None
        self.voiceprint = b""

    async def _make(self, whole: WholeFile, workshop: Workshop) -> None:
        try:
            shown = self._face.first
            job = Job(
                kind=whole.kind,
                data=whole.data,
                consent=whole.consent,
                today=date.today().isoformat(),  # noqa: DTZ011  (the day where the box is)
                size=(shown.width, shown.height) if shown else DEFAULT_SIZE,
            )
            made = await workshop.make(job)
            if not made.reason:
                made = await self._use(whole.kind, made)
            self._answer(whole.kind, made)
        finally:
            self._intake.is_held = False

    async def _use(self, kind: wire.UploadKind, made: Made) -> Made:
        """The session has it from here on; or why not."""
        try:
            return await (self._wear(made) if kind == "portrait" else self._speak_as(made))
        except StageError as error:
            return Made(reason="failed", message=str(error))

    async def _wear(self, made: Made) -> Made:
        if self._face.first is None:
            return Made(reason="no_video", message="this session has no face; ask for video")
        while self._is_drawing():  # noqa: ASYNC110  (a turn's end is no event)
            await asyncio.sleep(LOOK_S)
        await self._face.wear(made.product)
        if self._keeping is None:
            self._keeping = asyncio.create_task(self._face.keep())
        return made

    async def _speak_as(self, made: Made) -> Made:
        """Says nothing with the voice, which shows whether it can be spoken with."""
        try:
            async for _ in self._tts.run(TtsRequest("", voiceprint=made.product), Cancel()):
                pass
        except (ConfigError, ModelError) as error:
            return Made(reason="voice_cannot", message=str(error))
        self.voiceprint = made.product
        return made

    def _answer(self, kind: wire.UploadKind, made: Made) -> None:
        log.info("upload", session=self._session, kind=kind, reason=made.reason or "taken")
        self._outbox.put(
            wire.Uploaded(
                session=self._session,
                kind=kind,
                is_taken=not made.reason,
                reason=made.reason,
                message=made.message,
            )
        )
