"""The compiled mouths of a server's avatars: where they lie, each opened once."""

from __future__ import annotations

from pathlib import Path

import structlog

from halfsecond.config import Config, FaceConfig
from halfsecond.errors import HalfsecondError
from halfsecond.models.lipsync.avatar_file import avatar_directory
from halfsecond.models.lipsync.compiled_mouth import FOLDER, CompiledMouth
from halfsecond.stages.avatars import KEPT

log = structlog.get_logger(__name__)


class CompiledMouths:
    """Mouths by the names of installed avatars. One thread at a time."""

    def __init__(self, config: FaceConfig, home: Path) -> None:
        """Raises what `CompiledMouth` does of the server's own avatar."""
        self._config = config
        self._home = home
        self.own = self._opened(config.avatar)
        """Of the server's own avatar."""
        self._others: dict[str, CompiledMouth | None] = {}

    def get(self, avatar: str) -> CompiledMouth | None:
        """The mouth of an avatar that is there; None where it has none that can be used."""
        if avatar not in self._others:
            while len(self._others) >= KEPT:
                self._others.pop(next(iter(self._others)))
            self._others[avatar] = self._read(avatar)
        return self._others[avatar]

    def _read(self, avatar: str) -> CompiledMouth | None:
        try:
            return self._opened(avatar)
        except HalfsecondError as error:
            log.warning("no compiled mouth, the mesh driver", avatar=avatar, error=str(error))
            return None

    def _opened(self, avatar: str) -> CompiledMouth:
        directory = avatar_directory(avatar, self._home)
        return CompiledMouth(directory, threads=self._config.threads, device=self._config.device)


def lips_path(config: Config, home: Path) -> Path | None:
    """Where the network of the server's lips lies; None where none runs in this process."""
    face = config.face
    if config.stages.lipsync != "local":
        return None
    if face.driver == "wav2lip":
        return Path(face.wav2lip)
    if face.driver == "compiled" and face.avatar:
        return avatar_directory(face.avatar, home) / FOLDER
    return None
