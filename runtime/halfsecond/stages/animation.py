"""The pictures of one answer, made while it is spoken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import pairwise

import numpy as np
import soxr
import structlog
from numpy.typing import NDArray

from halfsecond import wire
from halfsecond.errors import HalfsecondError
from halfsecond.models.lipsync.driver import LIPSYNC_RATE_HZ
from halfsecond.models.lipsync.mood import MoodName
from halfsecond.models.tts.voice import SPEECH_RATE_HZ, Phone, SpeechChunk
from halfsecond.stages.lipsync import Action, LipSyncRequest, Picture, picture_format
from halfsecond.stages.playback import Playback
from halfsecond.stages.stage import Cancel, StageHandle
from halfsecond.stages.turn_settings import TurnSettings
from halfsecond.timeline import Now, Timeline

log = structlog.get_logger(__name__)

VIDEO_AHEAD_S = 0.6
"""Pictures made ahead. More takes the cores from the first clause's successors; less stutters."""
FIRST_FEED_S = 0.2
"""Speech of the first lip-sync call, the shortest that Wav2Lip can draw from."""
FEED_S = 0.4


class Animation:
    """What a face shows while an answer is heard; `run` once.

    emit: takes each picture's header and bytes.
    """

    def __init__(
        self,
        settings: TurnSettings,
        lipsync: StageHandle[LipSyncRequest, Picture],
        *,
        playback: Playback,
        timeline: Timeline,
        cancelled: Cancel,
        emit: Callable[[wire.Header, bytes], None],
        now: Now,
    ) -> None:
        self._settings = settings
        self._lipsync = lipsync
        self._playback = playback
        self._timeline = timeline
        self._cancelled = cancelled
        self._emit = emit
        self._now = now
        self._speech: asyncio.Queue[SpeechChunk | None] = asyncio.Queue()
        self._mood: MoodName = "speaking"
        self._seq = 0
        self.is_greeting = False
        """Whether what is said is a greeting; it is said with a smile."""
        self.is_drawing = False
        """Whether the driver is this answer's, and the face does not rest."""
        self.end_s = 0.0
        """Of the newest picture, from the answer's first sample on."""

    def show(self, chunk: SpeechChunk | None) -> None:
        """Takes the next piece of the answer's speech; None: that was the last."""
        self._speech.put_nowait(chunk)

    async def run(self) -> None:
        """Draws all that is shown. Without a face the answer is heard all the same."""
        try:
            await self._animate()
        except HalfsecondError as error:
            log.error("no face", session=self._settings.session, error=str(error))
            told = wire.Error(**self._settings.envelope(), code="stage_failed", message=str(error))
            self._emit(told, b"")

    async def _animate(self) -> None:
        resampler = soxr.ResampleStream(SPEECH_RATE_HZ, LIPSYNC_RATE_HZ, 1, dtype="float32")
        fed_s = 0.0
        while (chunk := await self._speech.get()) is not None:
            self._mood = self._mood_of(chunk.text)
            if not self.is_drawing:
                self.is_drawing = True
                await self._draw("begin")
            for start, piece in _pieces(chunk.samples, is_first=fed_s == 0.0):
                await self._playback.wait_until_near(fed_s, ahead_s=VIDEO_AHEAD_S)
                samples = resampler.resample_chunk(piece, last=False)
                # All of a chunk's phonemes go with its first piece: the mouth looks ahead.
                phones = list(chunk.phones) if start == 0 else []
                await self._draw("feed", samples, phones)
                fed_s += len(piece) / SPEECH_RATE_HZ
        if self.is_drawing:
            rest = resampler.resample_chunk(np.zeros(0, np.float32), last=True)
            await self._draw("feed", rest)
            await self._draw("finish")

    def _mood_of(self, clause: str) -> MoodName:
        """What the face shows while it says a clause."""
        if clause.rstrip("\"\u201d' ").endswith(("?", "\uff1f")):
            return "asking"
        return "greeting" if self.is_greeting else "speaking"

    async def _draw(
        self,
        action: Action,
        samples: NDArray[np.float32] | None = None,
        phones: Sequence[Phone] = (),
    ) -> None:
        settings, playback = self._settings, self._playback
        if settings.video == "none":
            return
        request = LipSyncRequest(
            session=settings.session,
            action=action,
            samples=np.zeros(0, np.float32) if samples is None else samples,
            phones=list(phones),
            format=picture_format(settings.video),
            mood=self._mood,
            avatar=settings.avatar,
            fps=settings.fps,
            heard_s=playback.position_s if playback.has_started else None,
        )
        with self._timeline.span("lipsync", action, now=self._now):
            pictures: AsyncIterator[Picture] = self._lipsync.run(request, self._cancelled)
            async for picture in pictures:
                self._timeline.mark("lipsync_first_frame", self._now())
                self._hand_over(picture)

    def _hand_over(self, picture: Picture) -> None:
        header = wire.Video(
            **self._settings.envelope(picture.pts_s, self._seq),
            width=picture.width,
            height=picture.height,
            format=picture.format,
            is_driven=picture.is_driven,
            mouth=round(picture.mouth, 3),
        )
        self._seq += 1
        self.end_s = picture.pts_s
        self._emit(header, picture.data)


def _pieces(
    samples: NDArray[np.float32], *, is_first: bool
) -> list[tuple[int, NDArray[np.float32]]]:
    """Stretches of a chunk for the lip-sync stage, with where each starts."""
    cuts = [0]
    while cuts[-1] < len(samples):
        length_s = FIRST_FEED_S if is_first and len(cuts) == 1 else FEED_S
        cuts.append(cuts[-1] + int(length_s * SPEECH_RATE_HZ))
    return [(start, samples[start:end]) for start, end in pairwise(cuts)]
