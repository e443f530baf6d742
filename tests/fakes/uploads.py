"""Files that a visitor may bring, a workshop without models, a search for what was left."""

from __future__ import annotations

import os
import struct
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fakes.peers import Peer
from halfsecond.assets import asset
from halfsecond.uploads.workshop import Workshop

LARGEST_BYTES = 16 << 20
"""Twice what may be uploaded; larger files are others'."""
SKIPPED = ("site-packages", "node_modules", ".git", "pytest-of-")
"""Many thousand files that no program of ours writes to while it runs; of a test's own folder, give
the folder itself."""

FAKE_WORKER = """
import sys, time, msgspec
from halfsecond.uploads.job import Job, Made
job = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Job)
if job.data.startswith(b"crash"):
    raise SystemExit(3)
if job.data.startswith(b"slow"):
    time.sleep(60)
if job.data.startswith(b"bad"):
    made = Made(reason="no_face", message="no face found in the picture")
else:
    made = Made(product=b"made of " + job.data[-8:])
sys.stdout.buffer.write(msgspec.msgpack.encode(made))
"""


def fake_workshop(*, time_limit_s: float = 60.0) -> Workshop:
    """Makes something of everything that is not "bad", "slow" or a "crash"."""
    command = (sys.executable, "-c", FAKE_WORKER)
    return Workshop({}, most_megapixels=50, time_limit_s=time_limit_s, command=command)


async def upload(
    peer: Peer, data: bytes, *, piece_bytes: int = 1 << 20, **fields: Any
) -> dict[str, Any]:
    """Sends a file over the wire; what became of it."""
    fields = {"kind": "portrait", "size": len(data), **fields}
    for seq, start in enumerate(range(0, max(1, len(data)), piece_bytes)):
        await peer.send("upload", data[start : start + piece_bytes], seq=seq, **fields)
    return await peer.receive("uploaded", "error")


def photo() -> bytes:
    """The bundled portrait as a JPEG."""
    return jpeg_of(np.asarray(cv2.imread(str(asset("astronaut.png"))), np.uint8))


def jpeg_of(image: Any) -> bytes:
    """(h, w, 3) BGR as JPEG."""
    return cv2.imencode(".jpg", image)[1].tobytes()


def with_comment(jpeg: bytes, comment: bytes) -> bytes:
    """The same JPEG with a comment in it."""
    return jpeg[:2] + b"\xff\xfe" + struct.pack(">H", 2 + len(comment)) + comment + jpeg[2:]


def png(width: int, height: int) -> bytes:
    """A PNG that is as large as it says, and all one colour: small as a file."""
    rows = zlib.compress((b"\x00" + bytes(3 * width)) * height, 9)
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunk(name, body) for name, body in ((b"IHDR", head), (b"IDAT", rows), (b"IEND", b""))
    )


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def traces(
    needles: Sequence[bytes], *, roots: Iterable[Path], since_s: float, pids: Iterable[int] = ()
) -> list[str]:
    """Where any of these bytes are: in files, or in names of files, that were written since then
    below the roots, or that the processes hold open or mapped, deleted ones too."""
    found = [str(path) for path in _written(roots, since_s) if _has(path, needles)]
    for pid in pids:
        for link in [*Path(f"/proc/{pid}/fd").iterdir(), *_maps(pid, since_s)]:
            found += [f"{pid}: {link}"] if _has(link, needles) else []
    return found


def _written(roots: Iterable[Path], since_s: float) -> Iterator[Path]:
    for root in roots:
        for folder, folders, names in os.walk(root):
            folders[:] = [name for name in folders if not name.startswith(SKIPPED)]
            for name in names:
                path = Path(folder, name)
                try:
                    if path.lstat().st_mtime >= since_s:
                        yield path
                except OSError:
                    continue  # gone meanwhile


def _maps(pid: int, since_s: float) -> Iterator[Path]:
    for line in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8").splitlines():
        path = Path(line[73:].strip())
        if path.is_absolute() and path.is_file() and path.stat().st_mtime >= since_s:
            yield path


def _has(path: Path, needles: Sequence[bytes]) -> bool:
    try:
        if any(needle in os.fsencode(path.name) for needle in needles):
            return True
        if not path.is_file() or path.stat().st_size > LARGEST_BYTES:
            return False
        data = path.read_bytes()
    except OSError:
        return False
    return any(needle in data for needle in needles)
