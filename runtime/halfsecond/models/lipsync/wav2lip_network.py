"""The user's Wav2Lip file on ONNX Runtime: checked when opened, then crops and sound to mouths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsecond.artifact import verified_artifact
from halfsecond.errors import ModelCorruptError, ModelMissingError, UnsupportedModelError
from halfsecond.models.lipsync.mel import MEL_BANDS, WINDOW_STEPS
from halfsecond.models.lipsync.patch_memory import PatchMemory
from halfsecond.models.sessions import CPU, Session, open_session

EXPECTED = (
    f"inputs (N, 1, {MEL_BANDS}, {WINDOW_STEPS}) for the sound and (N, 6, S, S) for the face, "
    "and one output (N, 3, S, S); 96 is S of the published network"
)
ARTIFACT_KIND = "wav2lip"
"""What the manifests of exported generators say that they are."""
_NUMBER_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


@dataclass(frozen=True)
class _Input:
    name: str
    shape: tuple[Any, ...]
    """Numbers, and strings or None where the file leaves a dimension open."""
    dtype: Any


class Wav2LipNetwork:
    """A Wav2Lip generator of any picture size. One thread at a time.

    Inputs are known by their shapes, not by their names, so any exporter's file will do; float16
    inputs and a fixed batch are served too (a fixed batch is filled up).

    `path` is an ONNX file, or the directory of an artifact that `halfsecond export wav2lip` wrote.

    Raises:
        ModelMissingError: there is no file at `path`.
        ModelCorruptError: ONNX Runtime cannot read it, or the artifact's files were changed.
        UnsupportedModelError: its shapes are not those of `EXPECTED`, running it fails, or the
            artifact was rejected when it was made.
    """

    def __init__(
        self,
        path: Path,
        *,
        threads: int = 1,
        providers: Sequence[str] = (CPU,),
        memory: PatchMemory | None = None,
    ) -> None:
        """memory: of what was drawn before; None draws everything anew."""
        self._path = path
        self._memory = memory or PatchMemory(frames=0)
        self._session = _open_own(generator_file(path), threads, providers)
        inputs = [
            _Input(i.name, tuple(i.shape), _NUMBER_TYPES.get(i.type))
            for i in self._session.get_inputs()
        ]
        self._found = ", ".join(f"{i.name} {list(i.shape)}" for i in inputs)
        self._sound = self._pick(inputs, (1, MEL_BANDS, WINDOW_STEPS))
        self._face = self._pick(inputs, (6, None, None))
        if len(inputs) != 2 or len(self._session.get_outputs()) != 1:
            raise self._unsupported(f"{len(inputs)} inputs ({self._found})")
        self.patch_px: int = self._face.shape[2]
        """Side of the square pictures that go in and come out."""
        self._check_run()

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
        step = fixed if isinstance(fixed, int) else count
        drawn = [self._run(sound[i : i + step], face, step) for i in range(0, count, step)]
        bgr = np.concatenate(drawn)[:count].transpose(0, 2, 3, 1)
        scaled = np.rint(np.clip(bgr[..., ::-1], 0.0, 1.0) * np.float32(255.0))
        return list(np.ascontiguousarray(scaled.astype(np.uint8)))

    def _run(
        self, sound: NDArray[np.float32], face: NDArray[np.float32], batch: int
    ) -> NDArray[np.float32]:
        if len(sound) < batch:
            sound = np.concatenate((sound, np.repeat(sound[-1:], batch - len(sound), axis=0)))
        faces = np.broadcast_to(face, (batch, *face.shape))
        result = self._session.run(
            None,
            {
                self._sound.name: np.ascontiguousarray(sound, self._sound.dtype),
                self._face.name: np.ascontiguousarray(faces, self._face.dtype),
            },
        )[0]
        return np.asarray(result, np.float32)

    def _pick(self, inputs: Sequence[_Input], shape: tuple[int | None, ...]) -> _Input:
        """The input of this shape after the batch; None stands for one side of a square."""
        for one in inputs:
            sides = one.shape[1:]
            if len(sides) != len(shape) or one.dtype is None:
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
    """The ONNX file of a generator: `path` itself, or the one of the artifact in that directory.

    Raises:
        ModelMissingError, ModelCorruptError, UnsupportedModelError: as `verified_artifact`, or
            what is there is no Wav2Lip generator for ONNX Runtime.
    """
    if not path.is_dir():
        return path
    artifact = verified_artifact(path)
    files = [name for name in artifact.files if name.endswith(".onnx")]
    if (artifact.kind, artifact.runtime, len(files)) != (ARTIFACT_KIND, "onnxruntime", 1):
        raise UnsupportedModelError(
            f"{path} holds {artifact.kind} for {artifact.runtime}; expected {ARTIFACT_KIND} for "
            "onnxruntime, as `halfsecond export wav2lip` writes it"
        )
    return path / files[0]


def _open_own(path: Path, threads: int, providers: Sequence[str]) -> Session:
    """As `open_session`, for a file that is the user's own and no model of the catalog."""
    try:
        return open_session(path, threads=threads, providers=providers)
    except ModelMissingError as error:
        raise ModelMissingError(
            f"no Wav2Lip file at {path}; give the path of your generator as ONNX"
        ) from error
    except ModelCorruptError as error:
        raise ModelCorruptError(
            f"{path} cannot be read as an ONNX model ({error.__cause__}); export your Wav2Lip "
            "generator again, or copy the file again"
        ) from error


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
