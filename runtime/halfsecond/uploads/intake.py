"""One session's files as they come in, in pieces, and what is not taken."""

from __future__ import annotations

from dataclasses import dataclass

from halfsecond import wire
from halfsecond.config.uploads import UploadsConfig
from halfsecond.errors import WireError
from halfsecond.timeline import Now
from halfsecond.voiceprint import consent_fault

MB = 1_000_000


@dataclass(frozen=True)
class Refusal:
    """Why a file is not taken, before anybody has looked at it."""

    reason: str
    message: str


@dataclass(frozen=True)
class WholeFile:
    """All of a file."""

    kind: wire.UploadKind
    data: bytes
    consent: str


class Intake:
    """Collects a session's files, one at a time. Memory is bounded by `uploads.max_mb`."""

    def __init__(self, config: UploadsConfig, *, now: Now) -> None:
        self._config = config
        self._now = now
        self._count = 0
        self._first: wire.Upload | None = None
        """Of the file that is coming in; None where there is none, or it was refused."""
        self._next_seq = 0
        self._parts = bytearray()
        self._began_s = 0.0
        self.is_held = False
        """Whether a file is being looked at; another must wait."""

    def take(self, piece: wire.Upload, payload: bytes) -> WholeFile | Refusal | None:
        """The file, once this was its last piece; or why it is not taken: then the pieces that
        follow are dropped without a word.

        Raises:
            WireError: the piece follows none, or is longer than was said.
        """
        if piece.seq == 0:
            self.drop()
            if refusal := self._refusal(piece):
                return refusal
            self._count += 1
            self._began_s = self._now()
            self._first = piece
        elif piece.seq != self._next_seq:
            self.drop()
            raise WireError(f"piece {piece.seq} of an upload came, expected {self._next_seq}")
        self._next_seq = piece.seq + 1
        first = self._first
        if first is None:
            return None
        self._parts += payload
        if len(self._parts) > first.size:
            found = len(self._parts)
            self.drop()
            raise WireError(f"an upload of {first.size} bytes has {found}; it was dropped")
        if self._now() - self._began_s > self._config.time_limit_s:
            self.drop()
            return Refusal("too_slow", f"it took over {self._config.time_limit_s:g} s to come in")
        if len(self._parts) < first.size:
            return None
        whole = WholeFile(first.kind, bytes(self._parts), first.consent)
        self.drop()
        return whole

    def drop(self) -> None:
        """Forgets what has come in."""
        self._first = None
        self._parts = bytearray()

    def _refusal(self, piece: wire.Upload) -> Refusal | None:
        config = self._config
        self._next_seq = 1  # of a refused file, too
        if piece.kind not in taken_kinds(config):
            key = "takes_portraits" if piece.kind == "portrait" else "takes_voices"
            return Refusal("not_taken", f"this server takes none; set uploads.{key} on it")
        if self.is_held:
            return Refusal("busy", "the file before is still being looked at; wait for its end")
        if self._count >= config.per_session:
            return Refusal(
                "too_many", f"a session may send {config.per_session} files; that was it"
            )
        if piece.size > config.max_mb * MB:
            return Refusal(
                "too_large",
                f"the file has {piece.size / MB:.1f} MB, and at most {config.max_mb:g} are taken; "
                "save it smaller",
            )
        if piece.kind == "voice" and (fault := consent_fault(piece.consent)):
            return Refusal("no_consent", fault)
        return None


def taken_kinds(config: UploadsConfig) -> list[wire.UploadKind]:
    """What may be uploaded."""
    kinds: list[wire.UploadKind] = []
    if config.takes_portraits:
        kinds.append("portrait")
    if config.takes_voices:
        kinds.append("voice")
    return kinds
