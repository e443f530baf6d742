"""The mesh driver: any frontal portrait speaks, with no learned lip model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.face.finder import FaceFinder
from halfsecond.models.face.portrait import DEFAULT_SIZE, Portrait, load_portrait
from halfsecond.models.lipsync.articulation import PhoneTrack
from halfsecond.models.lipsync.avatar import Avatar
from halfsecond.models.lipsync.compositor import Compositor
from halfsecond.models.lipsync.driver import LIPSYNC_RATE_HZ, Frame
from halfsecond.models.lipsync.expression import Expression, Liveliness
from halfsecond.models.lipsync.hearing import Hearing
from halfsecond.models.lipsync.mood import Composure, MoodName
from halfsecond.models.lipsync.mouth import MouthPose
from halfsecond.models.tts.voice import Phone

DEFAULT_FPS = 25
LOOK_AHEAD_S = 0.13
"""A frame waits for this much sound after its own time: the lead of the lips, the sounds that
already shape them, and the analysis window. Less cuts coarticulation, more delays frames."""
SETTLE_S = 0.24
"""Frames after the last sound in which the mouth comes to rest."""
STRESS_S = 0.25
"""The head follows the weight of the words at this pace: slower than syllables."""
SETTLED_STRESS = 0.01
"""A nod that is over but for this part is a seventh of a pixel from the head's place."""
ONSET_S = 0.03
SETTLE_RATE_S = 0.06
"""A mouth that was left open, or is taken over from another stream, closes at this pace."""


class MeshLipSync:
    """A portrait that speaks; see `LipSync` for the order of calls. One thread at a time."""

    def __init__(
        self,
        face: Portrait | Avatar,
        *,
        fps: int = DEFAULT_FPS,
        idle_fps: int = 0,
        seed: int = 0,
        is_expressive: bool = True,
        liveliness: Liveliness | None = None,
        look_ahead_s: float = LOOK_AHEAD_S,
    ) -> None:
        """face: of an avatar all is ready; a portrait is made one first.

        idle_fps: at which `idle` will be called; 0: as often as there are frames of speech.
        seed: decides when the face blinks and how it sways; the same seed, the same frames.
        is_expressive: False keeps everything but the mouth still; `liveliness` says it in parts.
        """
        expression = Expression(seed=seed, is_on=is_expressive, liveliness=liveliness)
        self._compositor = Compositor(face, expression=expression)
        self._composure = Composure(
            fps=fps, idle_fps=idle_fps, is_expressive=expression.liveliness.is_expressive
        )
        self._fps = fps
        self._idle_fps = idle_fps or fps
        self._look_ahead_s = look_ahead_s
        self._stress = 0.0
        self._shown = np.zeros(6, np.float32)
        self._skip_s = 0.0
        self._stream = _Stream(self._shown)

    @classmethod
    def open(
        cls,
        picture: Path,
        *,
        detector: Path,
        landmarks: Path,
        size: tuple[int, int] = DEFAULT_SIZE,
        fps: int = DEFAULT_FPS,
        seed: int = 0,
        is_expressive: bool = True,
        look_ahead_s: float = LOOK_AHEAD_S,
    ) -> MeshLipSync:
        """A driver of the face in `picture`, with the two face models at their paths.

        Raises:
            PortraitError: the picture does not show exactly one usable face.
            ModelError: a model is missing or cannot be read.
        """
        portrait = load_portrait(picture, FaceFinder(detector, landmarks), size=size)
        return cls(
            portrait,
            fps=fps,
            seed=seed,
            is_expressive=is_expressive,
            look_ahead_s=look_ahead_s,
        )

    @property
    def fps(self) -> int:
        return self._fps

    @property
    def size(self) -> tuple[int, int]:
        return self._compositor.portrait.size

    @property
    def avatar(self) -> str:
        return self._compositor.avatar.name

    def feel(self, mood: MoodName) -> None:
        self._composure.name = mood

    def begin(self) -> None:
        self._skip_s = 0.0
        self._stream = _Stream(self._shown)

    def feed(
        self, samples: NDArray[np.float32], *, phones: Sequence[Phone] = ()
    ) -> Iterator[Frame]:
        self._stream.add(samples, phones)
        return self._frames(self._stream)

    def skip(self, before_s: float) -> None:
        self._skip_s = before_s

    def finish(self) -> Iterator[Frame]:
        self._stream.finish()
        return self._frames(self._stream)

    def idle(self) -> Frame:
        self._shown = self._shown * np.float32(np.exp(-1 / (self._idle_fps * SETTLE_RATE_S)))
        if float(np.abs(self._shown).max()) < 0.01:
            self._shown = np.zeros(6, np.float32)
        return self._render(pts_s=0.0, is_driven=False, is_idle=True)

    def idle_jpeg(self) -> bytes | None:
        if self._shown.any() or self._stress > SETTLED_STRESS:
            return None
        return self._compositor.idle_jpeg(self._composure)

    def close(self) -> None:
        self._stream = _Stream(self._shown)

    def _frames(self, stream: _Stream) -> Iterator[Frame]:
        """What `stream` has enough sound for. A newer stream ends this one."""
        while stream is self._stream and stream.has_frame(self._fps, self._look_ahead_s):
            pts_s = stream.next_frame / self._fps
            stream.next_frame += 1
            if pts_s < self._skip_s:
                self._composure.step(is_idle=False)
                continue
            self._shown = stream.pose(pts_s)
            yield self._render(pts_s=pts_s, is_driven=pts_s < stream.length_s)

    def _render(self, *, pts_s: float, is_driven: bool, is_idle: bool = False) -> Frame:
        pose = MouthPose.from_array(self._shown)
        fps = self._idle_fps if is_idle else self._fps
        self._stress += (pose.opening - self._stress) * (1.0 - float(np.exp(-1 / (fps * STRESS_S))))
        t_s, mood = self._composure.step(is_idle=is_idle)
        image = self._compositor.render_pose(pose, t_s, stress=self._stress, mood=mood)
        return Frame(image, pts_s, pose.opening, is_driven)


class _Stream:
    """The speech of one answer and what it does to the mouth."""

    def __init__(self, taken_over: NDArray[np.float32]) -> None:
        self._hearing = Hearing()
        self._track = PhoneTrack()
        self._taken_over = taken_over
        self._samples = 0
        self.is_finished = False
        self.next_frame = 0

    @property
    def length_s(self) -> float:
        return self._samples / LIPSYNC_RATE_HZ

    def add(self, samples: NDArray[np.float32], phones: Sequence[Phone]) -> None:
        self._track.add(phones, self.length_s)
        self._hearing.add(samples)
        self._samples += len(samples)

    def finish(self) -> None:
        if not self.is_finished:
            self._hearing.finish()
        self.is_finished = True

    def has_frame(self, fps: int, look_ahead_s: float) -> bool:
        pts_s = self.next_frame / fps
        if self.is_finished:
            return self._samples > 0 and pts_s < self.length_s + SETTLE_S
        return pts_s + look_ahead_s <= self.length_s

    def pose(self, t_s: float) -> NDArray[np.float32]:
        """(6,) the mouth at `t_s`."""
        gate = self._hearing.gate(t_s)
        cover = self._track.cover(t_s)
        wanted = self._hearing.pose(t_s) * np.float32(1 - cover)
        if cover:
            wanted = wanted + self._track.at(t_s) * np.float32(cover * gate)
        after_end_s = t_s - self.length_s
        if self.is_finished and after_end_s > -0.04:
            wanted = wanted * np.float32(np.exp(-(after_end_s + 0.04) / SETTLE_RATE_S))
        # The first sound may come at once, lips do not: they take two frames to get there.
        wanted = wanted * np.float32(1.0 - np.exp(-(t_s + 0.5 * ONSET_S) / ONSET_S))
        before = self._taken_over * np.float32(np.exp(-t_s / SETTLE_RATE_S))
        return np.asarray(wanted + before, np.float32)
