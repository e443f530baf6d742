"""Lips from Wav2Lip: the network draws the lower face for each 200 ms of sound, we paste it in."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.face.finder import FaceFinder
from halfsecond.models.face.portrait import DEFAULT_SIZE, load_portrait
from halfsecond.models.lipsync.compositor import Compositor
from halfsecond.models.lipsync.driver import LIPSYNC_RATE_HZ, Frame
from halfsecond.models.lipsync.expression import Expression
from halfsecond.models.lipsync.mel import (
    MEL_BANDS,
    SILENT_MEL,
    WINDOW_STEPS,
    MelStream,
    first_step,
)
from halfsecond.models.lipsync.mood import Composure, Mood, MoodName
from halfsecond.models.lipsync.mouth import CLOSED
from halfsecond.models.lipsync.wav2lip_network import Wav2LipNetwork, face_input
from halfsecond.models.tts.voice import Phone
from halfsecond.sessions import Device

DEFAULT_FPS = 25
"""What the published weights were trained at. A window is 200 ms of sound at any rate, so another
rate draws the same movement, seen at other moments."""
FIRST_BATCH_FRAMES = 2
"""A clause's first picture waits for this many: 35 ms of INT8 on one core of a Xeon with VNNI."""
BATCH_FRAMES = 5
"""Later ones: 16.0 ms a frame in INT8, against 17.5 in twos and 19.7 alone (CPU time, one thread of
a Xeon with VNNI, `halfsecond_bench.wav2lip_speed.measure`). More makes interruptions wait."""
SILENCE_MEL = -1.5
"""A window whose loudest band stays below this is silence: about -50 dBFS of noise or voice."""
OPENING_S = 0.08
"""From the resting mouth to the network's: it hears 200 ms ahead, so no sound is missed."""
CLOSING_S = 0.16
"""From the network's mouth to the resting one, after the last sound."""
FULL_CHANGE = 0.16
"""Mean change of the mouth's region (0 to 1 in brightness) that counts as wide open."""
MOUTH_REGION = (slice(0.54, 0.80), slice(0.27, 0.73))
"""Rows and columns around the mouth, as parts of the face box."""

Patch = NDArray[np.uint8]


class MouthNetwork(Protocol):
    """Draws mouths for sounds: a generator, or what was learned from one. One thread at a time."""

    @property
    def patch_px(self) -> int:
        """Side of the square pictures."""
        ...

    def draw(self, sound: NDArray[np.float32], face: NDArray[np.float32]) -> NDArray[np.uint8]:
        """The face that says each of the sounds; see `Wav2LipNetwork.draw`."""
        ...


class Wav2LipSync:
    """A portrait that a Wav2Lip generator makes speak; see `LipSync`. One thread at a time.

    A frame's sound are the 200 ms that begin at its time, as in the published inference: the
    first frame needs 213 ms of audio, and later ones follow what was fed by as much. Voices give
    whole clauses faster than they are spoken, so this costs nothing there; on live audio it is
    a delay. (The published training used windows that begin 40 ms earlier, so the published
    inference, and this driver, move the lips 40 ms ahead of the sound.) After the last sample the
    windows are filled up with silence, and the frames go on to the end of the audio.

    A window of silence skips the network: the mouth eases into the compositor's resting mouth.
    `Frame.mouth` is no landmark: it is how far the drawn mouth region differs from the resting
    one, on a scale whose end is `FULL_CHANGE`. `phones` are not used.
    """

    def __init__(
        self,
        network: MouthNetwork,
        compositor: Compositor,
        *,
        fps: int = DEFAULT_FPS,
        idle_fps: int = 0,
        first_batch_frames: int = FIRST_BATCH_FRAMES,
        batch_frames: int = BATCH_FRAMES,
    ) -> None:
        """network, compositor: may be shared by the drivers of one thread.

        idle_fps: at which `idle` will be called; 0: as often as there are frames of speech.
        first_batch_frames, batch_frames: most frames that one run of the network draws, at the
        start of a stream and later.
        """
        self._network = network
        self._compositor = compositor
        self._fps = fps
        self._composure = Composure(
            fps=fps,
            idle_fps=idle_fps,
            is_expressive=compositor.expression.liveliness.is_expressive,
        )
        self._batches_frames = (first_batch_frames, batch_frames)
        x0, y0, x1, y1 = compositor.face_box
        crop = compositor.portrait.image[y0:y1, x0:x1]
        self._face = face_input(crop, network.patch_px)
        resting = compositor.render_pose(CLOSED, 0.0)[y0:y1, x0:x1]
        self._resting_mouth = _mouth_region(_square(resting, network.patch_px))
        self._presence = 0.0
        self._patch: Patch | None = None
        self.begin()

    @classmethod
    def open(
        cls,
        picture: Path,
        *,
        model: Path,
        detector: Path,
        landmarks: Path,
        size: tuple[int, int] = DEFAULT_SIZE,
        fps: int = DEFAULT_FPS,
        seed: int = 0,
        is_expressive: bool = True,
        threads: int = 1,
        device: Device = "cpu",
    ) -> Wav2LipSync:
        """A driver of the face in `picture`, with the user's Wav2Lip file and the face models.

        Raises:
            PortraitError: the picture does not show exactly one usable face.
            ModelError: a model is missing, cannot be read, or is no Wav2Lip generator.
        """
        network = Wav2LipNetwork(model, threads=threads, device=device)
        portrait = load_portrait(picture, FaceFinder(detector, landmarks), size=size)
        expression = Expression(seed=seed, is_on=is_expressive)
        return cls(network, Compositor(portrait, expression=expression), fps=fps)

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
        self._stream = object()  # frames that an earlier stream still had to give end here
        self._ears = MelStream()
        self._steps: NDArray[np.float32] = np.zeros((0, MEL_BANDS), np.float32)
        self._steps_dropped = 0
        self._fed_samples = 0
        self._cut_frames = 0
        self._shown_frames = 0
        self._drawn: deque[Patch | None] = deque()
        self._has_drawn = False
        self._skip_s = 0.0

    def feed(
        self, samples: NDArray[np.float32], *, phones: Sequence[Phone] = ()
    ) -> Iterator[Frame]:
        del phones
        self._fed_samples += len(samples)
        self._steps = np.concatenate((self._steps, self._ears.push(samples)))
        return self._frames(self._stream)

    def skip(self, before_s: float) -> None:
        self._skip_s = before_s

    def finish(self) -> Iterator[Frame]:
        self._steps = np.concatenate((self._steps, self._ears.finish()))
        frames = -(-self._fed_samples * self._fps // LIPSYNC_RATE_HZ)
        needed = first_step(max(frames - 1, 0), self._fps) + WINDOW_STEPS - self._steps_dropped
        missing = max(needed - len(self._steps), 0) if frames else 0
        silence = np.full((missing, MEL_BANDS), SILENT_MEL, np.float32)
        self._steps = np.concatenate((self._steps, silence))
        return self._settling(self._stream)

    def idle(self) -> Frame:
        return self._frame(None, pts_s=0.0, is_driven=False, is_idle=True)

    def idle_jpeg(self) -> bytes | None:
        return None if self._presence else self._compositor.idle_jpeg(self._composure)

    def close(self) -> None:
        self.begin()

    def _frames(self, stream: object) -> Iterator[Frame]:
        while stream is self._stream:
            self._leave_out_late()
            if not self._drawn:
                self._drawn.extend(self._draw_next())
            if not self._drawn:
                return
            yield self._next_frame(self._drawn.popleft(), is_driven=True)

    def _settling(self, stream: object) -> Iterator[Frame]:
        yield from self._frames(stream)
        while stream is self._stream and self._presence > 0.0:
            yield self._next_frame(None, is_driven=False)

    def _leave_out_late(self) -> None:
        """Forgets mouths whose moment has passed, and the sound of those that are not drawn yet."""
        while self._shown_frames / self._fps < self._skip_s:
            if self._drawn:
                self._drawn.popleft()
            elif self._window() is not None:
                self._cut_frames += 1
            else:
                return
            self._shown_frames += 1
            self._composure.step(is_idle=False)

    def _draw_next(self) -> Sequence[Patch | None]:
        """The mouths of the next frames: one batch of sound, one frame of silence, or none."""
        limit = self._batches_frames[self._has_drawn]
        windows: list[NDArray[np.float32]] = []
        while len(windows) < limit and (window := self._window()) is not None:
            if window.max() < SILENCE_MEL:
                if windows:
                    break
                self._cut_frames += 1
                return [None]
            windows.append(window.T[np.newaxis])
            self._cut_frames += 1
        if not windows:
            return []
        self._has_drawn = True
        return list(self._network.draw(np.stack(windows), self._face))

    def _window(self) -> NDArray[np.float32] | None:
        """The steps that the next frame hears, once they are all there."""
        start = first_step(self._cut_frames, self._fps)
        if start > self._steps_dropped:
            self._steps = self._steps[start - self._steps_dropped :]
            self._steps_dropped = start
        return self._steps[:WINDOW_STEPS] if len(self._steps) >= WINDOW_STEPS else None

    def _next_frame(self, patch: Patch | None, *, is_driven: bool) -> Frame:
        pts_s = self._shown_frames / self._fps
        self._shown_frames += 1
        return self._frame(patch, pts_s=pts_s, is_driven=is_driven)

    def _frame(
        self, patch: Patch | None, *, pts_s: float, is_driven: bool, is_idle: bool = False
    ) -> Frame:
        """The next picture: the resting mouth (None), `patch`, or one easing into the other."""
        life_s, mood = self._composure.step(is_idle=is_idle)
        if patch is None:
            presence = self._presence - 1.0 / max(1.0, CLOSING_S * self._fps)
        else:
            presence = self._presence + 1.0 / max(1.0, OPENING_S * self._fps)
            self._patch = patch
        self._presence = min(max(round(presence, 6), 0.0), 1.0)
        image, mouth = self._composed(life_s, mood)
        return Frame(image=image, pts_s=pts_s, mouth=mouth, is_driven=is_driven)

    def _composed(self, life_s: float, mood: Mood) -> tuple[NDArray[np.uint8], float]:
        presence = self._presence * self._presence * (3.0 - 2.0 * self._presence)
        if self._patch is None or presence == 0.0:
            return self._compositor.render_pose(CLOSED, life_s, mood=mood), 0.0
        mouth = presence * self._opening(self._patch)
        drawn = self._compositor.render_patch(self._patch, life_s, mood=mood)
        if presence == 1.0:
            return drawn, mouth
        import cv2

        resting = self._compositor.render_pose(CLOSED, life_s, mood=mood)
        mixed = cv2.addWeighted(drawn, presence, resting, 1.0 - presence, 0.0)
        return np.asarray(mixed, np.uint8), mouth

    def _opening(self, patch: Patch) -> float:
        change = np.abs(_mouth_region(patch) - self._resting_mouth).mean() / 255.0
        return min(float(change) / FULL_CHANGE, 1.0)


def _square(crop: NDArray[np.uint8], side_px: int) -> Patch:
    import cv2

    return np.asarray(cv2.resize(crop, (side_px, side_px), interpolation=cv2.INTER_AREA), np.uint8)


def _mouth_region(patch: Patch) -> NDArray[np.float32]:
    side = len(patch)
    rows, columns = (slice(int(r.start * side), int(r.stop * side)) for r in MOUTH_REGION)
    return np.asarray(patch[rows, columns].mean(axis=2), np.float32)
