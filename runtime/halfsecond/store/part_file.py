"""A download that is not there yet in full: hashed as it grows, trusted only when it is whole."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from halfsecond.errors import FetchError
from halfsecond.store.hashes import BLOCK_BYTES, flush


class PartFile:
    """Bytes that arrive for one pinned file, kept between attempts under the hash they must have.

    What was left by an earlier attempt is hashed on opening and counts. `size_bytes` and `sha256`
    are what the catalog pins; without them (a file of the user's own) whatever comes is taken.
    """

    def __init__(self, path: Path, *, size_bytes: int | None, sha256: str | None) -> None:
        self._path = path
        self._expected_bytes = size_bytes
        self._expected_sha256 = sha256
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a+b")
        self._digest = hashlib.sha256()
        self._got_bytes = 0
        self._take_over()

    def close(self) -> None:
        """Leaves what is there for the next attempt."""
        self._file.close()

    @property
    def got_bytes(self) -> int:
        """How many bytes are there."""
        return self._got_bytes

    def restart(self) -> None:
        """Forgets what is there."""
        self._file.truncate(0)
        self._digest = hashlib.sha256()
        self._got_bytes = 0

    def write(self, chunk: bytes) -> None:
        """Adds bytes; raises FetchError as soon as there are more than the catalog says."""
        got = self._got_bytes + len(chunk)
        if self._expected_bytes is not None and got > self._expected_bytes:
            self.restart()
            raise FetchError(f"holds more than the expected {self._expected_bytes} bytes")
        self._file.write(chunk)
        self._digest.update(chunk)
        self._got_bytes = got

    def finish(self, target: Path) -> str:
        """Moves the whole file to `target` and returns its SHA-256.

        Raises FetchError where it is not the pinned file; nothing of it is kept then.
        """
        found = self._digest.hexdigest()
        if self._expected_bytes is not None and self._got_bytes != self._expected_bytes:
            got = self._got_bytes
            self.restart()
            raise FetchError(f"holds {got} bytes, expected {self._expected_bytes}")
        if self._expected_sha256 is not None and found != self._expected_sha256:
            self.restart()
            raise FetchError(f"has sha256 {found}, expected {self._expected_sha256}")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._path.replace(target)
        flush(target.parent)
        return found

    def _take_over(self) -> None:
        self._file.seek(0)
        while block := self._file.read(BLOCK_BYTES):
            self._digest.update(block)
            self._got_bytes += len(block)
        if self._expected_bytes is not None and self._got_bytes > self._expected_bytes:
            self.restart()
