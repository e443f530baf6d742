"""SHA-256 of files, and a record of files that were hashed already."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import msgspec

BLOCK_BYTES = 1 << 20


def sha256_of(path: Path) -> str:
    """Returns the SHA-256 of a file's bytes, as lower-case hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


class _Hashed(msgspec.Struct, frozen=True):
    """A hash, and what the file system said of the file when it was taken."""

    sha256: str
    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    def is_about(self, found: os.stat_result) -> bool:
        return (self.size_bytes, self.mtime_ns, self.ctime_ns, self.inode) == (
            found.st_size,
            found.st_mtime_ns,
            found.st_ctime_ns,
            found.st_ino,
        )


class HashRecord:
    """Hashes of files, taken again only when the file system says that a file changed.

    What is trusted: size, modification time, inode, and the change time, which no program can
    set back. Bytes that rot on the disk change none of these: a thorough look finds them.
    The record lies in one JSON file; where that cannot be written, files are hashed every time.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._hashes = _read(path)
        self._is_changed = False

    def sha256(self, path: Path, *, is_thorough: bool = False) -> str:
        """Returns the file's SHA-256; with `is_thorough` it is read in any case."""
        found = path.stat()
        key = str(path.absolute())
        known = self._hashes.get(key)
        if known is not None and not is_thorough and known.is_about(found):
            return known.sha256
        digest = sha256_of(path)
        self._hashes[key] = _Hashed(
            digest, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino
        )
        self._is_changed = True
        return digest

    def save(self) -> None:
        """Writes what was learnt; a store that is read-only is left as it is."""
        if not self._is_changed:
            return
        kept = {key: value for key, value in self._hashes.items() if Path(key).exists()}
        try:
            write_atomically(self._path, msgspec.json.encode(kept))
        except OSError:
            return
        self._is_changed = False


def _read(path: Path) -> dict[str, _Hashed]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, _Hashed])
    except (OSError, msgspec.DecodeError):
        return {}


def write_atomically(path: Path, content: bytes) -> None:
    """Leaves `content` at `path`, or what was there before: never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    flush(path.parent)


def flush(path: Path) -> None:
    """Waits until a file's bytes, or a directory's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
