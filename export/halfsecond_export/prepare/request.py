"""What a preparation is given, and the directory it leaves: complete, or not there at all."""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from halfsecond.errors import ConfigError, ModelMissingError
from halfsecond.store.hashes import flush

MANIFEST_NAME = "manifest.json"
MANIFEST_FORMAT = 1

# Of fcntl.h and linux/fs.h.
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


@dataclass(frozen=True)
class PrepareRequest:
    """One preparation: what to read, where to leave the result, and how.

    `sources` maps the name that the catalog gives a file to its path; `target` is the directory
    to make or to replace; `options` are the catalog's own, as text.
    """

    sources: Mapping[str, Path]
    target: Path
    options: Mapping[str, str] = field(default_factory=dict)

    def single_source(self, preparer: str, *, suffix: str = "") -> tuple[str, Path]:
        """Returns the only source whose name ends in `suffix`.

        Raises ConfigError where there is not exactly one.
        """
        fitting = [item for item in self.sources.items() if item[0].endswith(suffix)]
        if len(fitting) != 1:
            raise ConfigError(
                f"{preparer} takes one {suffix or 'source'} file, got {len(fitting)} of: "
                f"{', '.join(self.sources) or 'none'}"
            )
        return fitting[0]

    def checked_options(self, preparer: str, *known: str) -> Mapping[str, str]:
        """Returns the options. Raises ConfigError for one that is not in `known`."""
        unknown = sorted(set(self.options) - set(known))
        if unknown:
            raise ConfigError(
                f"{preparer} has no option {', '.join(unknown)}; "
                f"valid: {', '.join(known) or 'none'}"
            )
        return self.options


@dataclass(frozen=True)
class Preparer:
    """A named way to make a directory of model files.

    `make` writes the files into the empty directory it is given and returns details for the
    manifest. `revision` is raised whenever the files of the same source would come out different.
    """

    name: str
    revision: int
    make: Callable[[PrepareRequest, Path], Mapping[str, Any]]
    libraries: tuple[str, ...] = ()

    def __call__(self, request: PrepareRequest) -> None:
        """Makes `request.target` with a manifest, or raises and leaves what was there before.

        Raises ModelMissingError for a source that is not there, ModelCorruptError,
        UnsupportedModelError and ConfigError.
        """
        for name, path in request.sources.items():
            if not path.is_file():
                raise ModelMissingError(f"{name}: there is no file {path}. Fetch the model first.")
        with replaced_directory(request.target) as directory:
            details = self.make(request, directory)
            manifest = {
                "format": MANIFEST_FORMAT,
                "preparer": self.name,
                "revision": self.revision,
                "libraries": {name: version(name) for name in self.libraries},
                "options": dict(request.options),
                "sources": {name: _describe(path) for name, path in request.sources.items()},
                "outputs": {
                    path.relative_to(directory).as_posix(): _describe(path)
                    for path in sorted(directory.rglob("*"))
                    if path.is_file()
                },
                "details": dict(details),
            }
            text = json.dumps(manifest, indent=2, ensure_ascii=False)
            (directory / MANIFEST_NAME).write_text(text + "\n", encoding="utf-8")


@contextmanager
def replaced_directory(target: Path) -> Iterator[Path]:
    """Gives an empty directory beside `target` that takes its place when the block ends well.

    An error, a signal or a power cut inside the block leaves `target` as it was; what a killed
    process left behind is removed by the next call.
    """
    target = target.absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{target.name}.partial-"
    _remove_abandoned(target.parent, prefix)
    partial = Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent))
    # mkdtemp closes the directory to other users; a store may be shared by several.
    partial.chmod(0o755)
    lock = os.open(partial, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield partial
        for path in partial.rglob("*"):
            flush(path)
        flush(partial)
        _swap(partial, target)
        flush(target.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        os.close(lock)


def _swap(partial: Path, target: Path) -> None:
    """Puts the new directory in the place of the old one, which the caller removes.

    A directory cannot be renamed over a full one. Where the file system cannot exchange two in one
    step, the old one steps aside first, and a power cut between leaves neither.
    """
    if target.exists() and _exchange(partial, target):
        return
    old = partial.with_name(partial.name + "-old")
    if target.exists():
        target.rename(old)
    try:
        partial.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Whether the kernel gave each the other's name, in one step."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        return False
    return bool(
        rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0
    )


def _remove_abandoned(parent: Path, prefix: str) -> None:
    """A partial directory that nobody holds a lock on belongs to a process that is gone."""
    for path in parent.glob(f"{prefix}*"):
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except BlockingIOError:
            pass
        finally:
            os.close(descriptor)


def _describe(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return {"sha256": digest.hexdigest(), "bytes": path.stat().st_size}
