"""One synchronised pair of tracks: the answer's sound, and the face that follows it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from numpy.typing import NDArray

from halfsecond import wire
from halfsecond.models.tts.voice import SPEECH_RATE_HZ
from halfsecond.timeline import Now, monotonic

FRAME_SAMPLES = SPEECH_RATE_HZ // 50
"""20 ms, as RTP carries Opus."""
VIDEO_RATE_HZ = 90_000
"""RTP's clock for pictures (RFC 3551)."""
LATE_S = 0.5
"""A track that is further behind, because the machine slept, begins its clock anew."""


class AnswerSound(MediaStreamTrack):
    """Sound without a gap, silence where nothing is said. It is the clock of the pictures."""

    kind = "audio"

    def __init__(self, *, now: Now = monotonic) -> None:
        super().__init__()
        self._now = now
        self._speech: deque[tuple[wire.Audio, NDArray[np.int16]]] = deque()
        self._generation = 0
        self._samples = 0
        self._start_s = 0.0
        self._is_paused = False
        self._turn = 0
        self._pts_s = 0.0
        self._is_sounding = False

    def add(self, header: wire.Audio, pcm: bytes) -> None:
        """Sound of an answer, after what waits."""
        if header.generation >= self._generation:
            self._speech.append((header, np.frombuffer(pcm, np.int16)))

    def drop(self, generation: int) -> None:
        """What is older is void."""
        if generation > self._generation:
            self._generation = generation
            self._is_paused = False
            self._speech = deque(w for w in self._speech if w[0].generation >= generation)

    def restart(self) -> None:
        """A new session: turns and generations begin anew."""
        self._speech.clear()
        self._generation = self._turn = 0
        self._is_paused = self._is_sounding = False

    def pause(self, *, is_paused: bool) -> None:
        """Silence, until it goes on from the same sample."""
        self._is_paused = is_paused

    def clock(self) -> tuple[int, float] | None:
        """The turn, and the moment of it that was sent last; None in silence."""
        return (self._turn, self._pts_s) if self._is_sounding else None

    async def recv(self) -> av.AudioFrame:
        """The next 20 ms, when their time has come."""
        if self.readyState != "live":
            raise MediaStreamError
        due_s = self._start_s + self._samples / SPEECH_RATE_HZ
        if abs(self._now() - due_s) > LATE_S:
            self._start_s = self._now() - self._samples / SPEECH_RATE_HZ
        else:
            await asyncio.sleep(max(0.0, due_s - self._now()))
        frame = av.AudioFrame.from_ndarray(self._block()[None, :], format="s16", layout="mono")
        frame.sample_rate = SPEECH_RATE_HZ
        frame.pts = self._samples
        frame.time_base = Fraction(1, SPEECH_RATE_HZ)
        self._samples += FRAME_SAMPLES
        return frame

    def _block(self) -> NDArray[np.int16]:
        block = np.zeros(FRAME_SAMPLES, np.int16)
        filled = 0
        while filled < FRAME_SAMPLES and self._speech and not self._is_paused:
            header, samples = self._speech.popleft()
            count = min(FRAME_SAMPLES - filled, len(samples))
            block[filled : filled + count] = samples[:count]
            filled += count
            self._turn = header.turn
            self._pts_s = header.pts + count / SPEECH_RATE_HZ
            if count < len(samples):
                rest = _later(header, self._pts_s)
                self._speech.appendleft((rest, samples[count:]))
        self._is_sounding = filled > 0
        return block


def _later(header: wire.Audio, pts_s: float) -> wire.Audio:
    return wire.Audio(
        session=header.session,
        turn=header.turn,
        generation=header.generation,
        seq=header.seq,
        pts=pts_s,
    )


@dataclass
class _Shown:
    """What has become of an answer's pictures."""

    turn: int = 0
    offset_s: float | None = None
    """How far the sound was beyond the newest one when it was sent."""
    dropped: int = 0


class FacePictures(MediaStreamTrack):
    """The picture that belongs to the sound that is sent now; the resting face in silence."""

    kind = "video"

    def __init__(
        self,
        sound: AnswerSound,
        *,
        fps: int,
        taken: Callable[[int], None],
        now: Now = monotonic,
    ) -> None:
        """taken: told how many pictures were shown or dropped."""
        super().__init__()
        self._sound = sound
        self._fps = fps
        self._taken = taken
        self._now = now
        self._pictures: deque[tuple[wire.Video, bytes]] = deque()
        self._resting: tuple[wire.Video, bytes] | None = None
        self._shown = _Shown()
        self._start_s = now()
        self._due_s = now()

    def add(self, header: wire.Video, rgb: bytes) -> None:
        """A picture of an answer in its order, or one of the resting face."""
        if header.turn:
            self._pictures.append((header, rgb))
            return
        if self._resting is not None:
            self._taken(1)
        self._resting = (header, rgb)

    def drop(self, generation: int) -> None:
        """What is older is void."""
        kept = deque(p for p in self._pictures if p[0].generation >= generation)
        self._taken(len(self._pictures) - len(kept))
        self._pictures = kept

    def restart(self, *, fps: int) -> None:
        """A new session, with so many pictures a second: what waits is void."""
        self._fps = fps
        self._pictures.clear()
        self._shown = _Shown()
        self._resting = None

    async def recv(self) -> av.VideoFrame:
        """The next picture that is another one than the last."""
        while True:
            if self.readyState != "live":
                raise MediaStreamError
            self._due_s = max(self._due_s + 1 / self._fps, self._now() - 1 / self._fps)
            await asyncio.sleep(max(0.0, self._due_s - self._now()))
            picture = self.due()
            if picture is not None:
                return self._frame(*picture)

    def due(self) -> tuple[wire.Video, bytes] | None:
        """The picture of what is heard now; None where it is the one that was taken last."""
        clock = self._sound.clock()
        if clock is None:
            picture, self._resting = self._resting, None
            self._taken(picture is not None)
            return picture
        due = None
        while self._pictures and (self._pictures[0][0].turn, self._pictures[0][0].pts) <= clock:
            if due is not None:
                self._shown_of(due[0].turn).dropped += 1
            due = self._pictures.popleft()
            self._taken(1)
        turn, pts_s = clock
        if due is not None and due[0].is_driven and due[0].turn == turn:
            self._shown_of(turn).offset_s = pts_s - due[0].pts
        return due

    def _shown_of(self, turn: int) -> _Shown:
        if self._shown.turn != turn:
            self._shown = _Shown(turn)
        return self._shown

    def playhead(self, *, behind_s: float) -> wire.Playhead | None:
        """What is heard and shown of an answer; None in silence.

        behind_s: from a track to the ear.
        """
        clock = self._sound.clock()
        if clock is None:
            return None
        shown = self._shown if self._shown.turn == clock[0] else _Shown()
        return wire.Playhead(
            turn=clock[0],
            pts=max(0.0, clock[1] - behind_s),
            offset_s=shown.offset_s,
            dropped=shown.dropped,
        )

    def _frame(self, header: wire.Video, rgb: bytes) -> av.VideoFrame:
        pixels = np.frombuffer(rgb, np.uint8).reshape(header.height, header.width, 3)
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts = int((self._now() - self._start_s) * VIDEO_RATE_HZ)
        frame.time_base = Fraction(1, VIDEO_RATE_HZ)
        return frame


class FacePair:
    """Both tracks of one session, filled with what the server says."""

    def __init__(self, *, fps: int, taken: Callable[[int], None], now: Now = monotonic) -> None:
        """taken: told how many pictures were shown or dropped."""
        self.sound = AnswerSound(now=now)
        self.pictures = FacePictures(self.sound, fps=fps, taken=taken, now=now)
        self._generation = 0

    def take(self, header: wire.Header, payload: bytes) -> None:
        """Sound and pictures to their tracks; a newer generation voids what is older."""
        if isinstance(header, wire.Welcome):
            self._generation = 0
            self.sound.restart()
            self.pictures.restart(fps=header.fps)
        if header.generation > self._generation:
            self._generation = header.generation
            self.sound.drop(header.generation)
            self.pictures.drop(header.generation)
        if isinstance(header, wire.Audio):
            self.sound.add(header, payload)
        elif isinstance(header, wire.Video):
            self.pictures.add(header, payload)
        elif isinstance(header, wire.Pause | wire.Resume):
            self.sound.pause(is_paused=isinstance(header, wire.Pause))
