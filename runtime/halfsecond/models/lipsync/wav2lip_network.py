"""The user's Wav2Lip file on ONNX Runtime: checked when opened, then crops and sound to mouths."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halfsecond.artifact import Tensor, read_artifact, verified_artifact
from halfsecond.engine import ENGINE_NAME, intact_engine
from halfsecond.engine_library import LIBRARIES
from halfsecond.errors import ModelCorruptError, ModelMissingError, UnsupportedModelError
from halfsecond.models.lipsync.mel import MEL_BANDS, WINDOW_STEPS
from halfsecond.models.lipsync.patch_memory import PatchMemory
from halfsecond.sessions import Device, Session, open_session
from halfsecond.sessions.opening import network_file

EXPECTED = (
    f"inputs (N, 1, {MEL_BANDS}, {WINDOW_STEPS}) for the sound and (N, 6, S, S) for the face, "
    "and one output (N, 3, S, S); 96 is S of the published network"
)
ARTIFACT_KIND = "wav2lip"
"""What the manifests of exported generators say that they are."""
_NUMBER_TYPES = ("float32", "float16")


class Wav2LipNetwork:
    """A Wav2Lip generator of any picture size, on ONNX Runtime or TensorRT. One thread at a time.

    Inputs are known by their shapes, not by their names, so any exporter's file will do; float16
    inputs and a fixed batch are served too (a fixed batch is filled up).

    `path` is an ONNX file, or the directory of an artifact that `halfsecond export wav2lip` or
    `halfsecond engines build` wrote.

    Raises:
        ModelMissingError: there is no file at `path`.
        ModelCorruptError: ONNX Runtime cannot read it, or the artifact's files were changed.
        NoGpuError, ConfigError: see `open_session`.
        UnsupportedModelError: its shapes are not those of `EXPECTED`, running it fails, or the
            artifact was rejected when it was made.
    """

    def __init__(
        self,
        path: Path,
        *,
        threads: int = 1,
        device: Device = "cpu",
        memory: PatchMemory | None = None,
    ) -> None:
        """memory: of what was drawn before; None draws everything anew."""
        self._path = path
        self._memory = memory or PatchMemory(frames=0)
        self._session = _open_own(path, threads, device)
        inputs = self._session.inputs
        self._found = ", ".join(f"{i.name} {list(i.shape)}" for i in inputs)
        self._sound = self._pick(inputs, (1, MEL_BANDS, WINDOW_STEPS))
        self._face = self._pick(inputs, (6, None, None))
        if len(inputs) != 2 or len(self._session.outputs) != 1:
            raise self._unsupported(f"{len(inputs)} inputs ({self._found})")
        self.patch_px = int(self._face.shape[2])
        """Side of the square pictures that go in and come out."""
        self._most_frames = _most_frames(path, self._face.name)
        self._check_run()

    def without_memory(self) -> Wav2LipNetwork:
        """The same network, remembering nothing of what it draws from here on."""
        forgetful = copy.copy(self)
        forgetful._memory = PatchMemory(frames=0)
        return forgetful

    def draw(self, sound: NDArray[np.float32], face: NDArray[np.float32]) -> NDArray[np.uint8]:
        """The face that says each of the sounds, as (n, patch_px, patch_px, 3) RGB.

        What the memory holds is not drawn again.

        sound: (n, 1, MEL_BANDS, WINDOW_STEPS), see `mel`.
        face: (6, patch_px, patch_px) of `face_input`, the same for all of them.
        """
        keys = PatchMemory.keys(sound, face)
        patches = [self._memory.get(key) for key in keys]
        missing = [at for at, patch in enumerate(patches) if patch is None]
        for at, patch in zip(missing, self._draw(sound[missing], face), strict=True):
            patches[at] = patch
            self._memory.add(keys[at], patch)
        return np.stack([patch for patch in patches if patch is not None])

    def _draw(
        self, sound: NDArray[np.float32], face: NDArray[np.float32]
    ) -> Sequence[NDArray[np.uint8]]:
        count = len(sound)
        if not count:
            return []
        fixed = self._face.shape[0]
        step = fixed if isinstance(fixed, int) else min(count, self._most_frames or count)
        drawn: list[NDArray[np.uint8]] = []
        for first in range(0, count, step):
            part = sound[first : first + step]
            batch = step if isinstance(fixed, int) else len(part)
            drawn += pictures_of(self._run(part, face, batch))
        return drawn[:count]

    def _run(
        self, sound: NDArray[np.float32], face: NDArray[np.float32], batch: int
    ) -> NDArray[np.float32]:
        if len(sound) < batch:
            sound = np.concatenate((sound, np.repeat(sound[-1:], batch - len(sound), axis=0)))
        faces = np.broadcast_to(face, (batch, *face.shape))
        results = self._session.run(
            {
                self._sound.name: np.ascontiguousarray(sound, self._sound.dtype),
                self._face.name: np.ascontiguousarray(faces, self._face.dtype),
            }
        )
        return np.asarray(next(iter(results.values())), np.float32)

    def _pick(self, inputs: Sequence[Tensor], shape: tuple[int | None, ...]) -> Tensor:
        """The input of this shape after the batch; None stands for one side of a square."""
        for one in inputs:
            sides = one.shape[1:]
            if len(sides) != len(shape) or one.dtype not in _NUMBER_TYPES:
                continue
            fits = all(w in (None, s) for w, s in zip(shape, sides, strict=True))
            if fits and (None not in shape or (isinstance(sides[1], int) and sides[1] == sides[2])):
                return one
        raise self._unsupported(f"inputs {self._found}")

    def _check_run(self) -> None:
        """One frame through the network: shapes of results are often left open in the file."""
        side = self.patch_px
        sound = np.zeros((1, 1, MEL_BANDS, WINDOW_STEPS), np.float32)
        fixed = self._face.shape[0]
        batch = fixed if isinstance(fixed, int) else 1
        try:
            shape = self._run(sound, np.zeros((6, side, side), np.float32), batch).shape
        except Exception as error:
            # ONNX Runtime raises a class of its own per status code; all mean the same here.
            raise self._unsupported(f"inputs {self._found}, which fail to run ({error})") from error
        if shape != (batch, 3, side, side):
            raise self._unsupported(f"an output of {list(shape)} for inputs {self._found}")

    def _unsupported(self, found: str) -> UnsupportedModelError:
        return UnsupportedModelError(
            f"{self._path} is not a Wav2Lip generator: it has {found}; expected {EXPECTED}. "
            "Export the generator (not the discriminator or SyncNet) with fixed picture sizes"
        )


def generator_file(path: Path) -> Path:
    """What holds a generator: `path` itself, or the ONNX file or engine in that directory.

    Raises:
        ModelMissingError, ModelCorruptError, UnsupportedModelError: as `verified_artifact` and
            `intact_engine`, or what is there is no Wav2Lip generator.
    """
    if not path.is_dir():
        return path
    artifact = read_artifact(path)
    if artifact.kind != ARTIFACT_KIND:
        raise UnsupportedModelError(
            f"{path} holds {artifact.kind} for {artifact.runtime}; expected {ARTIFACT_KIND}, as "
            "`halfsecond export wav2lip` or `halfsecond engines build` writes it"
        )
    if artifact.runtime in LIBRARIES:
        intact_engine(path)
        return path / ENGINE_NAME
    return network_file(path, verified_artifact(path))


def _open_own(path: Path, threads: int, device: Device) -> Session:
    """As `open_session`, for a file that is the user's own and no model of the catalog."""
    file = generator_file(path)
    place = path if file.name == ENGINE_NAME else file
    try:
        return open_session(place, threads=threads, device=device, priority="high", is_graphed=True)
    except ModelMissingError as error:
        raise ModelMissingError(
            f"no Wav2Lip file at {path}; give the path of your generator as ONNX"
        ) from error
    except ModelCorruptError as error:
        raise ModelCorruptError(
            f"{path} cannot be read as an ONNX model ({error.__cause__}); export your Wav2Lip "
            "generator again, or copy the file again"
        ) from error


def _most_frames(path: Path, name: str) -> int:
    """Of one run of an engine; 0 for no limit."""
    if not path.is_dir():
        return 0
    artifact = read_artifact(path)
    profile = artifact.profiles.get(name) if artifact.runtime in LIBRARIES else None
    return profile.largest[0] if profile else 0


def pictures_of(drawn: NDArray[np.float32]) -> list[NDArray[np.uint8]]:
    """What a network drew, (n, 3, side, side) BGR from 0 to 1, as RGB pictures of their own."""
    bgr = drawn.transpose(0, 2, 3, 1)
    scaled = np.rint(np.clip(bgr[..., ::-1], 0.0, 1.0) * np.float32(255.0))
    return list(np.ascontiguousarray(scaled.astype(np.uint8)))


def face_input(crop: NDArray[np.uint8], patch_px: int) -> NDArray[np.float32]:
    """What the network sees of a face: (6, patch_px, patch_px), 0 to 1, BGR twice.

    The first three channels have the lower half blanked, where the mouth is to be drawn; the last
    three are the whole face, which says whose mouth it is.

    crop: (h, w, 3) RGB of the face, chin included; stretched to a square as in training.
    """
    import cv2

    is_smaller = patch_px < min(crop.shape[:2])
    mode = cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR
    square = np.asarray(cv2.resize(crop, (patch_px, patch_px), interpolation=mode), np.float32)
    whole = square[..., ::-1].transpose(2, 0, 1) / np.float32(255.0)
    masked = whole.copy()
    masked[:, patch_px // 2 :] = 0.0
    return np.concatenate((masked, whole))
