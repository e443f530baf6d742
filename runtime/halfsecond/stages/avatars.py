"""The faces of a server: its own, and the installed ones that clients ask for."""

from __future__ import annotations

from pathlib import Path

import structlog

from halfsecond.errors import HalfsecondError
from halfsecond.models.lipsync.avatar import Avatar
from halfsecond.models.lipsync.avatar_file import NAME, avatar_directory, read_avatar

log = structlog.get_logger(__name__)

KEPT = 16
"""Avatars that stay open, some 15 MB each; of more, the one that was opened first goes."""


class Avatars:
    """Each is read and verified once, when it is first asked for. One thread at a time."""

    def __init__(self, own: Avatar, home: Path | None) -> None:
        """home: of the store whose avatars may be asked for; None: only the own one is shown."""
        self._own = own
        self._home = home
        self._open: dict[str, Avatar] = {}

    def get(self, name: str | Avatar = "") -> Avatar:
        """The avatar of that name; the server's own where it has none, or it cannot be used.

        What a client asks for is a wish, and never a path. An avatar is what it is.
        """
        if isinstance(name, Avatar):
            return name
        if name in ("", self._own.name) or self._home is None:
            return self._own
        if name not in self._open:
            if (found := self._read(name, self._home)) is None:
                return self._own
            while len(self._open) >= KEPT:
                self._open.pop(next(iter(self._open)))
            self._open[name] = found
        return self._open[name]

    @staticmethod
    def _read(name: str, home: Path) -> Avatar | None:
        if not NAME.fullmatch(name):
            log.warning("no such avatar", asked=name[:64])
            return None
        try:
            return read_avatar(avatar_directory(name, home))
        except HalfsecondError as error:
            log.warning("no such avatar", asked=name, error=str(error))
            return None
