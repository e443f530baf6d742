"""What a model's directory holds: written last, and without it the directory is not a model."""

from __future__ import annotations

from pathlib import Path

import msgspec

from halfsecond.catalog import ModelEntry, Preparation
from halfsecond.store.hashes import sha256_of, write_atomically

MANIFEST_NAME = "manifest.json"
# What a preparer says of its own work; the store keeps it beside its own manifest.
PREPARATION_NAME = "preparation.json"


class ManifestFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a model as it was when it was put into the store."""

    path: str
    size_bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The files of a model's directory, and the pins that they were made from.

    `sources` maps the catalog's files to the SHA-256 of what was fetched. Where nothing is
    prepared, these are the files of the directory.
    """

    name: str
    licence: str
    sources: dict[str, str]
    files: tuple[ManifestFile, ...]
    origins: dict[str, str] = {}
    prepare: Preparation | None = None
    preparer_revision: int | None = None
    format: int = 1

    @property
    def size_bytes(self) -> int:
        """What the files weigh together."""
        return sum(file.size_bytes for file in self.files)

    def mismatch(self, entry: ModelEntry) -> str | None:
        """Returns how this differs from what the catalog pins, or None where it does not."""
        for file in entry.files:
            found = self.sources.get(file.path)
            if found is None or (file.sha256 is not None and found != file.sha256):
                return f"{file.path} is not the one that the catalog pins now"
        if set(self.sources) != {file.path for file in entry.files}:
            return "the catalog lists other files now"
        if self.prepare != entry.prepare:
            return "the catalog prepares it in another way now"
        return None


def read_manifest(directory: Path) -> Manifest | None:
    """Returns a directory's manifest; None where there is none.

    Raises msgspec.DecodeError for one that cannot be parsed.
    """
    try:
        content = (directory / MANIFEST_NAME).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return msgspec.json.decode(content, type=Manifest)


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Writes the manifest into the directory."""
    encoded = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    write_atomically(directory / MANIFEST_NAME, encoded + b"\n")


def describe_files(directory: Path) -> tuple[ManifestFile, ...]:
    """Returns every file under the directory but the manifest, sorted by path."""
    return tuple(
        ManifestFile(
            path=path,
            size_bytes=(directory / path).stat().st_size,
            sha256=sha256_of(directory / path),
        )
        for path in list_files(directory)
    )


def list_files(directory: Path) -> list[str]:
    """Returns the relative paths of a directory's files but the manifest, sorted."""
    found = (path for path in directory.rglob("*") if not path.is_dir())
    names = (path.relative_to(directory).as_posix() for path in found)
    return sorted(name for name in names if name != MANIFEST_NAME)
