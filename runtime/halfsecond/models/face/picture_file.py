"""What the bytes of a picture's file say before any decoder sees them: kind, size, where it ends.

For files from strangers. Everything is read in plain Python: a wrong length leads to a refusal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from halfsecond.errors import PortraitError

Kind = Literal["JPEG", "PNG", "WebP"]

_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""In JPEG's coded data, where 00 and the restart marks D0 to D7 belong to the data."""
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Marks of JPEG that hold the size."""
_FOREIGN = re.compile(
    rb"PK\x03\x04|PK\x05\x06|%PDF-|\x7fELF|Rar!\x1a|7z\xbc\xaf|<html|<script|<svg|<\?php", re.I
)
_LONGEST_SIDE_PX = 20_000
"""Panoramas of telephones have 16,000."""


@dataclass(frozen=True)
class PictureFile:
    """A whole picture, as far as its structure tells."""

    kind: Kind
    width: int
    height: int
    data: bytes
    """From its first byte to its last; what a telephone put behind it is left out."""

    @property
    def megapixels(self) -> float:
        return self.width * self.height / 1e6


def examine_picture(data: bytes, *, most_megapixels: float) -> PictureFile:
    """The picture that a file holds, with nothing before or behind it.

    Raises:
        PortraitError: another kind of file, or also another kind; cut off; or too many pixels.
    """
    if data.startswith(b"\xff\xd8\xff"):
        found = _jpeg(data)
    elif data.startswith(b"\x89PNG\r\n\x1a\n"):
        found = _png(data)
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        found = _webp(data)
    else:
        raise PortraitError(
            "this is no JPEG, PNG or WebP picture; save it as JPEG", reason="wrong_kind"
        )
    if min(found.width, found.height) == 0:
        raise PortraitError("the picture has no pixels; save it again as JPEG")
    if found.megapixels > most_megapixels or max(found.width, found.height) > _LONGEST_SIDE_PX:
        raise PortraitError(
            f"the picture has {found.width} x {found.height} pixels, and at most "
            f"{most_megapixels:g} million are taken; scale it down",
            reason="too_large",
        )
    return found


def _cut_off(data: bytes) -> PortraitError:
    return PortraitError(
        f"the picture ends in the middle (after {len(data)} bytes): it was cut off when it was "
        "copied or downloaded; take the file again",
        reason="cut_off",
    )


def _two_kinds() -> PortraitError:
    return PortraitError(
        "something else than a picture follows the picture in this file; save it again as JPEG",
        reason="two_kinds",
    )


def _jpeg(data: bytes) -> PictureFile:
    at, size = 2, (0, 0)
    while (mark := _mark(data, at)) != 0xD9:
        if mark == 0xFF:  # a fill byte
            at += 1
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if mark in _FRAMES:
            high, wide = data[at + 5 : at + 7], data[at + 7 : at + 9]
            size = (int.from_bytes(wide, "big"), int.from_bytes(high, "big"))
        at += 2 + max(2, length)
        if mark == 0xDA:
            following = _MARKER.search(data, at)
            at = len(data) if following is None else following.start()
    if _is_foreign(data[at + 2 :]):
        raise _two_kinds()
    return PictureFile("JPEG", *size, data[: at + 2])


def _mark(data: bytes, at: int) -> int:
    """The second byte of JPEG's mark; raises PortraitError where there is none."""
    if at + 2 > len(data):
        raise _cut_off(data)
    if data[at] != 0xFF:
        raise PortraitError("this JPEG is damaged; save it again")
    return data[at + 1]


def _is_foreign(rest: bytes) -> bool:
    """Whether an archive, a program or a page follows a JPEG. Cameras put previews, films and notes
    of their own there, which are left out."""
    return rest.startswith((b"MZ", b"#!")) or _FOREIGN.search(rest) is not None


def _png(data: bytes) -> PictureFile:
    at, size = 8, (0, 0)
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        name = data[at + 4 : at + 8]
        if name == b"IHDR":
            wide, high = data[at + 8 : at + 12], data[at + 12 : at + 16]
            size = (int.from_bytes(wide, "big"), int.from_bytes(high, "big"))
        at += 12 + length
        if name == b"IEND" and at <= len(data):
            if data[at:].strip(b"\x00"):
                raise _two_kinds()
            return PictureFile("PNG", *size, data[:at])
    raise _cut_off(data)


def _webp(data: bytes) -> PictureFile:
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise _cut_off(data)
    if data[end:].strip(b"\x00"):
        raise _two_kinds()
    return PictureFile("WebP", *_webp_size(data), data[:end])


def _webp_size(data: bytes) -> tuple[int, int]:
    """(width, height) of the first chunk; (0, 0) of one that is not known."""
    first, body = data[12:16], data[20:34]
    if first == b"VP8X":
        return tuple(1 + int.from_bytes(body[at : at + 3], "little") for at in (4, 7))  # type: ignore[return-value]
    if first == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if first == b"VP8 ":
        wide, high = body[6:8], body[8:10]
        return int.from_bytes(wide, "little") & 0x3FFF, int.from_bytes(high, "little") & 0x3FFF
    return 0, 0
