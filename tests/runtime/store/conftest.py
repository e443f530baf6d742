"""A wheelhouse and a web server of fake models, and catalogs that point at them."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from halfsecond.catalog import (
    Catalog,
    ModelEntry,
    ModelFile,
    NpmMember,
    Preparation,
    Source,
    UrlFile,
    WheelMember,
)
from halfsecond.store import Store


@dataclass
class FileServer:
    """Serves `files` by path; what a test wants to go wrong is set per path.

    `cut_after`: how many bytes each coming answer sends before the connection ends.
    `redirects`: where a path really lies. `hold`: an answer waits for this event after its cut.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    cut_after: dict[str, list[int]] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    ignores_range: bool = False
    hold: threading.Event | None = None
    reached_hold: threading.Event = field(default_factory=threading.Event)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def add(self, path: str, content: bytes) -> UrlFile:
        self.files[path] = content
        return UrlFile(url=f"{self.url}/{path}")

    def ranges(self) -> list[str | None]:
        return [headers.get("Range") for _, headers in self.requests]


def _handler(server: FileServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.lstrip("/")
            server.requests.append((path, dict(self.headers)))
            if path in server.redirects:
                self.send_response(302)
                self.send_header("Location", server.redirects[path])
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif path not in server.files:
                self.send_error(404)
            else:
                self._send(path, server.files[path])

        def _send(self, path: str, content: bytes) -> None:
            asked = self.headers.get("Range")
            start = 0
            if asked and not server.ignores_range:
                start = int(asked.removeprefix("bytes=").rstrip("-"))
                if start >= len(content):
                    self.send_error(416)
                    return
                self.send_response(206)
                self.send_header(
                    "Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}"
                )
            else:
                self.send_response(200)
            body = content[start:]
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            cuts = server.cut_after.get(path)
            if not cuts:
                self.wfile.write(body)
                return
            self.wfile.write(body[: cuts.pop(0)])
            self.wfile.flush()
            if server.hold is not None:
                server.reached_hold.set()
                server.hold.wait()
            self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    return Handler


def _serve() -> Iterator[FileServer]:
    server = FileServer()
    web = ThreadingHTTPServer(("127.0.0.1", 0), _handler(server))
    web.daemon_threads = False
    server.url = f"http://127.0.0.1:{web.server_port}"
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        if server.hold is not None:
            server.hold.set()
        web.shutdown()
        thread.join()
        web.server_close()


@pytest.fixture
def file_server() -> Iterator[FileServer]:
    yield from _serve()


@pytest.fixture
def other_server() -> Iterator[FileServer]:
    yield from _serve()


@dataclass
class Wheelhouse:
    """A directory of wheels and npm tarballs."""

    directory: Path

    def wheel(self, package: str, members: Mapping[str, bytes], version: str = "1.0") -> Path:
        path = self.directory / f"{package.replace('-', '_')}-{version}-py3-none-any.whl"
        info = f"{package.replace('-', '_')}-{version}.dist-info"
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
            metadata = f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
            archive.writestr(f"{info}/METADATA", metadata)
            archive.writestr(
                f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            archive.writestr(f"{info}/RECORD", "")
        return path

    def tarball(self, package: str, members: Mapping[str, bytes], version: str = "1.0") -> Path:
        path = self.directory / f"{package}-{version}.tgz"
        with tarfile.open(path, "w:gz") as archive:
            for name, content in members.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        return path


@pytest.fixture
def wheelhouse(tmp_path: Path) -> Wheelhouse:
    directory = tmp_path / "wheelhouse"
    directory.mkdir()
    return Wheelhouse(directory)


def wheel_member(package: str, member: str, version: str = "1.0") -> WheelMember:
    return WheelMember(package=package, version=version, member=member)


@pytest.fixture
def from_wheel() -> Callable[..., WheelMember]:
    return wheel_member


@pytest.fixture
def from_npm() -> Callable[..., NpmMember]:
    def make(package: str, member: str, version: str = "1.0") -> NpmMember:
        return NpmMember(package=package, version=version, member=member)

    return make


@dataclass
class StoreMaker:
    """Makes a store whose catalog has the models that a test describes."""

    home: Path
    models: dict[str, ModelEntry] = field(default_factory=dict)

    def file(self, path: str, content: bytes, *sources: Source) -> ModelFile:
        digest = hashlib.sha256(content).hexdigest()
        return ModelFile(path=path, size_bytes=len(content), sha256=digest, sources=sources)

    def model(
        self,
        name: str,
        *files: ModelFile,
        needs_acceptance: bool = False,
        prepare: Preparation | None = None,
    ) -> Store:
        self.models[name] = ModelEntry(
            title=name,
            stage="asr",
            licence="Apache-2.0",
            licence_url="https://example.org/licence",
            notice="By nobody.",
            files=files,
            needs_acceptance=needs_acceptance,
            prepare=prepare,
        )
        return self.store()

    def store(self) -> Store:
        return Store(self.home, Catalog(models=dict(self.models)))


@pytest.fixture
def stores(tmp_path: Path) -> StoreMaker:
    return StoreMaker(tmp_path / "home")
