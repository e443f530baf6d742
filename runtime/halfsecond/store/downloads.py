"""Verified downloads: each pinned file from the first mirror that delivers its bytes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from halfsecond.catalog import ModelFile, OwnFile, Source
from halfsecond.errors import FetchError
from halfsecond.store.hashes import sha256_of
from halfsecond.store.http_files import ConnectionCutError
from halfsecond.store.origins import Origins
from halfsecond.store.part_file import PartFile
from halfsecond.store.progress import FetchProgress

# A cut connection is taken up again this often in a row without a byte gained.
RETRIES = 4
_RETRY_PAUSE_S = 1.0


class Downloads:
    """A directory of files under the hash that they were verified to have.

    What is on its way is called `HASH.part` and is gone on with by the next attempt.
    """

    def __init__(
        self,
        directory: Path,
        origins: Origins,
        progress: FetchProgress,
        *,
        pause: Callable[[float], None],
    ) -> None:
        self._directory = directory
        self._origins = origins
        self._progress = progress
        self._pause = pause

    def path(self, name: str, file: ModelFile) -> Path:
        """Returns where a file of the model `name` lies once it was obtained.

        A file of the user's own has no pinned hash and goes under its name.
        """
        return self._directory / (file.sha256 or f"{name}-{file.path.replace('/', '-')}")

    def obtain(self, name: str, file: ModelFile) -> str:
        """Leaves the verified file at `path` and returns where it came from.

        Raises FetchError with every mirror's failure.
        """
        target = self.path(name, file)
        if file.sha256 and target.is_file() and sha256_of(target) == file.sha256:
            return "an earlier attempt"
        failures: list[str] = []
        for source in file.sources:
            failure = self._try_source(name, file, source, target)
            if failure is None:
                return str(source)
            failures.append(f"{source}: {failure}")
            if source is not file.sources[-1]:
                self._progress.note(f"{name}: {file.path}: {failures[-1]}; trying the next mirror")
        raise FetchError(f"{name}: {file.path} could not be fetched. {' | '.join(failures)}")

    def _try_source(self, name: str, file: ModelFile, source: Source, target: Path) -> str | None:
        """Returns why this source failed, or None where the file is there."""
        self._progress.begin(f"{name}/{file.path}", file.size_bytes)
        try:
            self._obtain_from(name, file, source, target)
        except (FetchError, OSError) as error:
            return str(error)
        finally:
            self._progress.end()
        return None

    def _obtain_from(self, name: str, file: ModelFile, source: Source, target: Path) -> None:
        part_path = target.with_name(target.name + ".part")
        # What a file of the user's own left behind proves nothing about the next one.
        if isinstance(source, OwnFile):
            part_path.unlink(missing_ok=True)
        part = PartFile(part_path, size_bytes=file.size_bytes, sha256=file.sha256)
        try:
            was_resumed = part.got_bytes > 0
            self._transfer(name, file, source, part)
            try:
                part.finish(target)
            except FetchError:
                if not was_resumed:
                    raise
                # What was kept may have been of another mirror: once more from the start.
                self._transfer(name, file, source, part)
                part.finish(target)
        finally:
            part.close()

    def _transfer(self, name: str, file: ModelFile, source: Source, part: PartFile) -> None:
        """Brings the part to its end, taking a cut connection up again where it stopped."""
        failures = 0
        while file.size_bytes is None or part.got_bytes < file.size_bytes:
            before = part.got_bytes
            try:
                self._transfer_once(name, file, source, part)
                return
            except ConnectionCutError:
                failures = 0 if part.got_bytes > before else failures + 1
                if failures >= RETRIES:
                    raise
            self._pause(_RETRY_PAUSE_S * 2**failures)

    def _transfer_once(self, name: str, file: ModelFile, source: Source, part: PartFile) -> None:
        body = self._origins.open(source, name=name, path=file.path, offset=part.got_bytes)
        if body.offset != part.got_bytes:
            part.restart()
        with closing(body.chunks) as chunks:
            for chunk in chunks:
                part.write(chunk)
                self._progress.at(part.got_bytes)
