"""A mouth that was learned for one avatar from a Wav2Lip generator: sound in, pictures out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halfsecond.artifact import Artifact, read_artifact, verified_artifact
from halfsecond.errors import ConfigError, ModelMissingError, UnsupportedModelError
from halfsecond.models.lipsync.avatar_file import ARRAYS, PICTURE
from halfsecond.models.lipsync.wav2lip_network import pictures_of
from halfsecond.sessions import Device, open_session

KIND = "mouth"
FOLDER = "mouth"
"""In the avatar's directory: it goes where the avatar goes, and a new avatar has none."""
PICTURES = "faces"
"""The output's name, as a generator's."""
NO_AVATAR = (
    'face.driver = "compiled" needs face.avatar: mouths are learned for avatars; `halfsecond '
    "export avatar PHOTO --name NAME` makes one, `halfsecond export mouth NAME --wav2lip FILE` "
    "its mouth"
)


class CompiledMouth:
    """Draws as a `Wav2LipNetwork` does, of one avatar alone. One thread at a time.

    Raises:
        ModelMissingError: no mouth was made of this avatar.
        ModelCorruptError: its files were changed.
        UnsupportedModelError: it was rejected when it was made, or is another face's.
        NoGpuError, ConfigError: see `open_session`.
    """

    def __init__(self, avatar: Path, *, threads: int = 1, device: Device = "cpu") -> None:
        """avatar: the avatar's directory."""
        verified_mouth(avatar)
        self._session = open_session(
            avatar / FOLDER, threads=threads, device=device, priority="high", is_graphed=True
        )
        self._sound = self._session.inputs[0]
        self.patch_px = int(self._session.outputs[0].shape[2])
        """Side of the square pictures that come out."""

    def draw(
        self,
        sound: NDArray[np.float32],
        face: NDArray[np.float32],  # noqa: ARG002 - as a generator is called
    ) -> NDArray[np.uint8]:
        """The avatar's face that says each of the sounds, as (n, patch_px, patch_px, 3) RGB.

        sound: (n, 1, MEL_BANDS, WINDOW_STEPS), see `mel`. face: not looked at; it was learned.
        """
        heard = np.ascontiguousarray(sound, self._sound.dtype)
        drawn = self._session.run({self._sound.name: heard})
        return np.stack(pictures_of(np.asarray(drawn[PICTURES], np.float32)))


def identity(avatar: Path) -> dict[str, str]:
    """Hashes of the avatar's face, by which a mouth knows whose it is."""
    files = read_artifact(avatar).files
    return {name: files[name].sha256 for name in (PICTURE, ARRAYS) if name in files}


def verified_mouth(avatar: Path) -> Artifact:
    """The manifest of the avatar's mouth, which may be used.

    Raises what `CompiledMouth` does, but for devices.
    """
    directory = avatar / FOLDER
    command = f"`halfsecond export mouth {avatar.name} --wav2lip FILE`"
    if not directory.is_dir():
        raise ModelMissingError(
            f"the avatar in {avatar} has no compiled mouth; {command} makes one, and face.driver "
            '= "mesh" or "wav2lip" need none'
        )
    artifact = verified_artifact(directory)
    if artifact.kind != KIND:
        raise ConfigError(f"{directory} holds a {artifact.kind}, expected a {KIND}")
    if not identity(avatar).items() <= artifact.sources.items():
        raise UnsupportedModelError(
            f"the mouth in {directory} was learned for another face; {command} learns this one"
        )
    return artifact
