"""Faces that visitors brought, each for its own session, and for as long as that wants it."""

from __future__ import annotations

from halfsecond.models.lipsync.avatar import Avatar
from halfsecond.timeline import Now

LEASE_S = 30.0
"""A face is forgotten when its session says nothing for so long: the server that had it has ended
without a word. Sessions say "keep" three times as often (`Face.keep`)."""


class WornFaces:
    """By session. One thread at a time."""

    def __init__(self, now: Now) -> None:
        self._now = now
        self._faces: dict[str, Avatar] = {}
        self._wanted_s: dict[str, float] = {}

    def put_on(self, session: str, face: Avatar) -> None:
        """The session's own face from here on."""
        self._faces[session] = face
        self._wanted_s[session] = self._now()

    def get(self, session: str) -> Avatar | None:
        """The session's own face; None where it brought none."""
        return self._faces.get(session)

    def want(self, session: str) -> None:
        """The session has said something."""
        if session in self._faces:
            self._wanted_s[session] = self._now()

    def take_off(self, session: str) -> None:
        """Forgets the session's face."""
        self._faces.pop(session, None)
        self._wanted_s.pop(session, None)

    def unwanted(self) -> list[str]:
        """Sessions that have said nothing for `LEASE_S`."""
        late_s = self._now() - LEASE_S
        return [session for session, at_s in self._wanted_s.items() if at_s < late_s]

    def clear(self) -> None:
        """Forgets all."""
        self._faces.clear()
        self._wanted_s.clear()
