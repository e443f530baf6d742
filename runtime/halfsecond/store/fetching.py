"""Filling the store: every file from the first mirror that has the pinned bytes, or nothing."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from halfsecond.catalog import ModelEntry, Preparation
from halfsecond.errors import ConfigError, FetchError, LicenceError
from halfsecond.store.downloads import Downloads
from halfsecond.store.hashes import flush, sha256_of
from halfsecond.store.locking import exclusive
from halfsecond.store.manifest import (
    MANIFEST_NAME,
    PREPARATION_NAME,
    Manifest,
    describe_files,
    write_manifest,
)
from halfsecond.store.origins import Origins
from halfsecond.store.packages import PackageArchives
from halfsecond.store.preparation import LoadedPreparer, load_preparer
from halfsecond.store.progress import FetchProgress, SilentProgress
from halfsecond.store.shelf import Store

# The package, the file out of it and what is prepared from that can be there at once.
_ROOM_FACTOR = 3.0


@dataclass(frozen=True)
class FetchOptions:
    """What the user allows and brings along.

    `accepted`: names of models whose licence the user accepts. `own_files`: a file or directory
    by model name, for models that only the user has.
    """

    accepted: Collection[str] = ()
    own_files: Mapping[str, Path] = field(default_factory=dict)
    find_links: tuple[Path, ...] = ()
    is_offline: bool = False


@dataclass(frozen=True)
class FetchedModel:
    """What happened to one model. `origins` says where each file came from."""

    name: str
    outcome: Literal["fetched", "already there"]
    licence: str
    size_bytes: int
    duration_s: float
    origins: Mapping[str, str]


class ModelFetcher:
    """Fetches models into a store, one process at a time.

    A model's directory is built aside and appears by one rename. What was downloaded before an
    interruption is kept under the hash it must have, and used by the next attempt.
    """

    def __init__(
        self,
        store: Store,
        options: FetchOptions | None = None,
        *,
        progress: FetchProgress | None = None,
        find_preparer: Callable[[Preparation], LoadedPreparer] = load_preparer,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store = store
        self._options = options or FetchOptions()
        self._progress = progress or SilentProgress()
        self._find_preparer = find_preparer
        self._archives = PackageArchives(
            store.work_dir / "packages",
            self._progress,
            find_links=self._options.find_links,
            is_offline=self._options.is_offline,
        )
        self._downloads = Downloads(
            store.work_dir / "downloads",
            Origins(
                self._archives,
                own_files=self._options.own_files,
                is_offline=self._options.is_offline,
            ),
            self._progress,
            pause=pause,
        )

    def fetch(self, names: Iterable[str]) -> list[FetchedModel]:
        """Fetches models and profiles by name; what is there and whole is left alone.

        Raises ConfigError, LicenceError or FetchError before or at the first that fails.
        """
        return list(self.fetch_each(names))

    def fetch_each(self, names: Iterable[str]) -> Iterator[FetchedModel]:
        """The same as `fetch`, telling of each model when it is there."""
        chosen = self._store.catalog.expand(names)
        self._check_own_files(chosen)
        self._check_licences(chosen)
        self._check_home()
        with exclusive(self._store.work_dir / "lock", on_wait=self._tell_wait):
            shutil.rmtree(self._staging_root, ignore_errors=True)
            for name in chosen:
                yield self._fetch_one(name)
            self._archives.clear()

    @property
    def _staging_root(self) -> Path:
        return self._store.work_dir / "staging"

    def _tell_wait(self) -> None:
        self._progress.note(f"another fetch into {self._store.home} is running; waiting for it")

    def _check_own_files(self, names: list[str]) -> None:
        for name in self._options.own_files:
            if name not in names:
                raise ConfigError(
                    f"--file names {name!r}, which is not fetched; fetched: {', '.join(names)}"
                )

    def _check_licences(self, names: list[str]) -> None:
        for name in names:
            entry = self._store.catalog.entry(name)
            manifest = self._store.manifest(name)
            is_known = manifest is not None and manifest.licence == entry.licence
            if entry.needs_acceptance and not is_known and name not in self._options.accepted:
                raise LicenceError(
                    f"{name} is under {entry.licence} ({entry.licence_url}): {entry.notice} "
                    f"Read it; if you accept it, run "
                    f"`halfsecond models fetch {name} --accept-licence {name}`"
                )

    def _fetch_one(self, name: str) -> FetchedModel:
        start = time.monotonic()
        entry = self._store.catalog.entry(name)
        if name not in self._options.own_files and self._is_current(name, entry):
            manifest = self._store.manifest(name)
            size_bytes, origins = (manifest.size_bytes, manifest.origins) if manifest else (0, {})
            return FetchedModel(name, "already there", entry.licence, size_bytes, 0.0, origins)
        preparer = self._find_preparer(entry.prepare) if entry.prepare else None
        self._check_room(name, entry)
        origins = {}
        for file in entry.files:
            origins[file.path] = self._downloads.obtain(name, file)
        manifest = self._assemble(name, entry, preparer, origins)
        duration_s = time.monotonic() - start
        return FetchedModel(
            name, "fetched", entry.licence, manifest.size_bytes, duration_s, origins
        )

    def _is_current(self, name: str, entry: ModelEntry) -> bool:
        if self._store.condition(name).state != "fetched":
            return False
        if entry.prepare is None:
            return True
        try:
            preparer = self._find_preparer(entry.prepare)
        except FetchError:  # Nothing to prepare with: what is there was prepared and is whole.
            return True
        manifest = self._store.manifest(name)
        return manifest is not None and manifest.preparer_revision == preparer.revision

    def _check_home(self) -> None:
        try:
            self._store.work_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FetchError(
                f"{self._store.home} cannot be written ({error.strerror}); "
                "choose another directory with --home or HALFSECOND_HOME"
            ) from error

    def _check_room(self, name: str, entry: ModelEntry) -> None:
        free = shutil.disk_usage(self._store.home).free
        needed = int(entry.download_bytes * _ROOM_FACTOR)
        if free < needed:
            raise FetchError(
                f"{name} needs {needed / 1e6:.0f} MB in {self._store.home}, where "
                f"{free / 1e6:.0f} MB are free; make room or choose another --home"
            )

    def _assemble(
        self,
        name: str,
        entry: ModelEntry,
        preparer: LoadedPreparer | None,
        origins: Mapping[str, str],
    ) -> Manifest:
        """Builds the model's directory aside and lets it appear; returns its manifest."""
        self._staging_root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._staging_root, prefix=f"{name}-") as aside:
            sources = {file.path: self._downloads.path(name, file) for file in entry.files}
            hashes = {
                file.path: file.sha256 or sha256_of(sources[file.path]) for file in entry.files
            }
            result = Path(aside) / "model"
            if entry.prepare is None or preparer is None:
                _move_all(sources, result)
            else:
                self._prepare(name, entry.prepare, preparer, sources, result)
            manifest = Manifest(
                name=name,
                licence=entry.licence,
                sources=hashes,
                files=describe_files(result),
                origins=dict(origins),
                prepare=entry.prepare,
                preparer_revision=preparer.revision if preparer else None,
            )
            write_manifest(result, manifest)
            _swap_in(result, self._store.directory(name), Path(aside) / "replaced")
        for path in sources.values():
            path.unlink(missing_ok=True)
        return manifest

    def _prepare(
        self,
        name: str,
        preparation: Preparation,
        preparer: LoadedPreparer,
        sources: Mapping[str, Path],
        result: Path,
    ) -> None:
        self._progress.begin(f"{name}: {preparation.name}", None)
        try:
            preparer.run(sources, result, preparation.options)
        finally:
            self._progress.end()
        own = result / MANIFEST_NAME
        if own.exists():
            own.rename(result / PREPARATION_NAME)


def _move_all(sources: Mapping[str, Path], directory: Path) -> None:
    for name, path in sources.items():
        target = directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)


def _swap_in(directory: Path, target: Path, replaced: Path) -> None:
    """Lets a directory appear at `target`; what was there before steps aside first."""
    for path in directory.rglob("*"):
        flush(path)
    flush(directory)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        target.rename(replaced)
    directory.rename(target)
    flush(target.parent)
