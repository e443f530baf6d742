"""The store: gives out the directories of models that were fetched and are what they should be."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec
import platformdirs

from halfsecond.catalog import Catalog, ModelEntry, checkout_engines, default_catalog
from halfsecond.errors import ModelCorruptError, ModelMissingError
from halfsecond.store.hashes import HashRecord
from halfsecond.store.manifest import Manifest, list_files, read_manifest

HOME_VARIABLE = "HALFSECOND_HOME"

ModelState: TypeAlias = Literal["fetched", "missing", "outdated", "corrupt"]


@dataclass(frozen=True)
class Condition:
    """How a model stands: `detail` says what is wrong and is empty for a fetched one."""

    name: str
    state: ModelState
    detail: str = ""
    size_bytes: int = 0


class Store:
    """A home directory with `models/NAME/` for every fetched model.

    A model's directory appears whole, by one rename, with a manifest that lists each file's size
    and SHA-256. `.store/` holds what is under way: downloads, a lock, the record of hashes.
    """

    def __init__(self, home: Path, catalog: Catalog) -> None:
        self.home = home
        self.catalog = catalog

    @classmethod
    def default(cls, home: Path | None = None, catalog: Catalog | None = None) -> Store:
        """Returns the store of this machine: see `default_home` for where it lies."""
        return cls(home or default_home(), catalog or default_catalog())

    @property
    def work_dir(self) -> Path:
        """The directory of what is under way."""
        return self.home / ".store"

    def directory(self, name: str) -> Path:
        """Returns where a model lies or would lie, unverified: `path` is the way to load one."""
        self.catalog.entry(name)
        return self.home / "models" / name

    def path(self, name: str) -> Path:
        """Returns the directory of a model whose every file was verified.

        A file is hashed again only if it changed since its last hash (see `HashRecord`).
        Raises ConfigError for an unknown name, ModelMissingError, ModelCorruptError.
        """
        condition = self.condition(name)
        if condition.state == "fetched":
            return self.directory(name)
        command = f"run `halfsecond models fetch {name}`"
        message = f"model {name!r} in {self.directory(name)}: {condition.detail}; {command}"
        if condition.state == "corrupt":
            raise ModelCorruptError(message)
        raise ModelMissingError(message)

    def condition(self, name: str, *, is_thorough: bool = False) -> Condition:
        """Returns how a model stands; with `is_thorough` every file is read and hashed."""
        record = HashRecord(self.work_dir / "hashes.json")
        condition = self._inspect(name, record, is_thorough)
        record.save()
        return condition

    def verify(self, names: Iterable[str] = ()) -> list[Condition]:
        """Hashes every file of the named models, or of all that are there."""
        chosen = list(names) or [
            name for name in self.catalog.models if self.directory(name).exists()
        ]
        return [self.condition(name, is_thorough=True) for name in chosen]

    def manifest(self, name: str) -> Manifest | None:
        """Returns a model's manifest; None where there is none that can be read."""
        try:
            return read_manifest(self.directory(name))
        except msgspec.DecodeError:
            return None

    def _inspect(self, name: str, record: HashRecord, is_thorough: bool) -> Condition:
        entry = self.catalog.entry(name)
        directory = self.directory(name)
        try:
            manifest = read_manifest(directory)
        except msgspec.DecodeError as error:
            return Condition(name, "corrupt", f"manifest.json cannot be read ({error})")
        if manifest is None:
            return Condition(name, "missing", "not fetched")
        mismatch = manifest.mismatch(entry)
        if mismatch is not None:
            return Condition(name, "outdated", mismatch, manifest.size_bytes)
        fault = _first_fault(directory, _expected_files(entry, manifest), record, is_thorough)
        if fault is not None:
            return Condition(name, "corrupt", fault, manifest.size_bytes)
        return Condition(name, "fetched", "", manifest.size_bytes)


def default_home(environment: Mapping[str, str] | None = None) -> Path:
    """Returns where models are kept.

    HALFSECOND_HOME if set; else `engines/` in a checkout; else the user's data directory.
    """
    chosen = (os.environ if environment is None else environment).get(HOME_VARIABLE)
    if chosen:
        return Path(chosen).expanduser().absolute()
    return checkout_engines() or platformdirs.user_data_path("halfsecond")


def _expected_files(entry: ModelEntry, manifest: Manifest) -> dict[str, tuple[int, str]]:
    """Size and SHA-256 by path: the catalog's own pins, wherever the files are as fetched."""
    expected = {file.path: (file.size_bytes, file.sha256) for file in manifest.files}
    if entry.prepare is None:
        for file in entry.files:
            if file.sha256 is not None and file.size_bytes is not None:
                expected[file.path] = (file.size_bytes, file.sha256)
    return expected


def _first_fault(
    directory: Path,
    expected: Mapping[str, tuple[int, str]],
    record: HashRecord,
    is_thorough: bool,
) -> str | None:
    """Returns what is wrong with the first file that is not as expected, or None."""
    for name in list_files(directory):
        if name not in expected:
            return f"{name} does not belong there"
    for name, (size_bytes, sha256) in expected.items():
        path = directory / name
        if not path.is_file():
            return f"{name} is gone"
        found_bytes = path.stat().st_size
        if found_bytes != size_bytes:
            return f"{name} has {found_bytes} bytes, expected {size_bytes}"
        found = record.sha256(path, is_thorough=is_thorough)
        if found != sha256:
            return f"{name} has sha256 {found}, expected {sha256}"
    return None
