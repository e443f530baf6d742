"""Real inputs: a portrait as the driver prepares it, recorded speech as its network hears it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halfsecond import audio
from halfsecond.assets import asset
from halfsecond.errors import ConfigError
from halfsecond.models.face import points
from halfsecond.models.face.aperture import mouth_aperture
from halfsecond.models.face.finder import FaceFinder
from halfsecond.models.face.landmarks import FaceLandmarker
from halfsecond.models.face.portrait import load_portrait
from halfsecond.models.lipsync.compositor import Compositor
from halfsecond.models.lipsync.driver import LIPSYNC_RATE_HZ
from halfsecond.models.lipsync.mel import (
    SILENT_MEL,
    WINDOW_STEPS,
    first_step,
    mel_spectrogram,
)
from halfsecond.models.lipsync.mesh import MeshLipSync
from halfsecond.models.lipsync.wav2lip_network import face_input

FPS = 25
"""What the published weights were trained at."""
PORTRAIT = "astronaut.png"
LEAST_CONFIDENCE = 0.5
"""Of the landmarks that they are on a face."""
_KINDS = (".flac", ".wav")

Patches = NDArray[np.uint8]
"""(n, S, S, 3) RGB."""
Windows = NDArray[np.float32]
"""(n, 1, 80, 16): what the network hears for each of n frames."""


@dataclass(frozen=True)
class Clip:
    """One recording, 16 kHz mono."""

    name: str
    samples: NDArray[np.float32]

    @property
    def frames(self) -> int:
        """Pictures that it lasts for."""
        return -(-len(self.samples) * FPS // LIPSYNC_RATE_HZ)

    def windows(self) -> Windows:
        """What the driver gives to the network for each frame, silence after the end included."""
        steps = mel_spectrogram(self.samples)
        needed = first_step(self.frames - 1, FPS) + WINDOW_STEPS
        missing = max(needed - len(steps), 0)
        steps = np.pad(steps, ((0, missing), (0, 0)), constant_values=SILENT_MEL)
        starts = [first_step(frame, FPS) for frame in range(self.frames)]
        return np.stack([steps[s : s + WINDOW_STEPS].T[np.newaxis] for s in starts])


@dataclass(frozen=True)
class Sitter:
    """A portrait that is drawn: what the network sees of it, and where its pictures go."""

    compositor: Compositor
    patch_px: int
    face_models: Path
    """Directory of the face detector and landmarks."""

    @classmethod
    def open(cls, picture: Path | None, face_models: Path, patch_px: int) -> Sitter:
        """The face in `picture`, or of the demonstration's portrait.

        Raises:
            PortraitError: the picture does not show exactly one usable face.
            ModelError: a face model is missing or cannot be read.
        """
        finder = FaceFinder(*_face_files(face_models))
        portrait = load_portrait(picture or asset(PORTRAIT), finder)
        return cls(Compositor(portrait), patch_px, face_models)

    @cached_property
    def face(self) -> NDArray[np.float32]:
        """(6, S, S), see `face_input`."""
        return face_input(self.crop(self.compositor.portrait.image), self.patch_px)

    def crop(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """What a frame shows where the network's picture goes."""
        x0, y0, x1, y1 = self.compositor.face_box
        return image[y0:y1, x0:x1]

    def apertures(self, patches: Patches) -> NDArray[np.float32]:
        """(n,) apertures of the mouth with each patch pasted into the portrait, in eye distances.

        NaN where the landmarks find no face.
        """
        return np.array([self._aperture(patch) for patch in patches], np.float32)

    def _aperture(self, patch: NDArray[np.uint8]) -> float:
        """Landmarks from where the portrait has them: the head is still.

        `ApertureMeter`, which starts from the frame before, turns a difference of one step of
        brightness into another crop for all frames that follow.
        """
        image = self.compositor.render_patch(patch, 0.0)
        found, confidence = self._landmarker.locate(image, self._start, runs=1)
        return mouth_aperture(found) if confidence >= LEAST_CONFIDENCE else float("nan")

    @cached_property
    def _landmarker(self) -> FaceLandmarker:
        return FaceLandmarker(_face_files(self.face_models)[1])

    @cached_property
    def _start(self) -> NDArray[np.float32]:
        """The eyes, which turn the crop, then everything that it must show."""
        flat = self.compositor.portrait.landmarks[:, :2]
        return np.concatenate([flat[[points.LEFT_EYE_OUTER, points.RIGHT_EYE_OUTER]], flat])

    def speaking(self, clip: Clip) -> Iterator[NDArray[np.uint8]]:
        """The frames of the mesh driver that says a clip, head and eyes kept still."""
        driver = MeshLipSync(self.compositor.portrait, fps=FPS, is_expressive=False)
        driver.begin()
        for stretch in (driver.feed(clip.samples), driver.finish()):
            yield from (frame.image for frame in stretch if frame.is_driven)


def _face_files(folder: Path) -> tuple[Path, Path]:
    return folder / "face_detector.onnx", folder / "face_landmarks.onnx"


def pictures(bgr: NDArray[np.float32]) -> Patches:
    """Outputs as the runtime shows them: rounded, RGB, channels last."""
    rgb = bgr[:, ::-1].transpose(0, 2, 3, 1)
    return np.ascontiguousarray(np.rint(np.clip(rgb, 0.0, 1.0) * 255.0).astype(np.uint8))


def default_speech() -> Path:
    """The clips of the checkout that this package is part of."""
    return Path(__file__).resolve().parents[3] / "tests" / "clips"


def load_speech(source: Path) -> list[Clip]:
    """The recordings of a folder by name, or the one that `source` is.

    Raises:
        ConfigError: there is none.
        AudioError: one cannot be read.
    """
    files = [source] if source.is_file() else sorted(source.glob("*"))
    clips = [Clip(path.name, audio.load(path).samples) for path in files if path.suffix in _KINDS]
    if not clips:
        raise ConfigError(
            f"there is no recording ({', '.join(_KINDS)}) at {source}; give speech with --speech"
        )
    return clips


def split(clips: Sequence[Clip], *, every: int = 4) -> tuple[list[Clip], list[Clip]]:
    """Clips to learn from and clips to be judged by: every fourth, never both.

    Raises:
        ConfigError: there are too few for both.
    """
    judged = list(clips[every - 1 :: every])
    if not judged:
        raise ConfigError(
            f"{len(clips)} recordings of speech are too few: with every {every}th kept for the "
            f"comparison at least {every} are needed; give a folder with --speech"
        )
    return [clip for at, clip in enumerate(clips) if at % every != every - 1], judged
