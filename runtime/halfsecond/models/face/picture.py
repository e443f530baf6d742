"""A picture file as pixels: upright, whole, and in RGB, whatever it was saved as."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halfsecond.errors import PortraitError

BACKDROP = (200, 200, 200)
"""RGB behind transparent pictures where nothing else is asked for."""
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""In JPEG's coded data, where 00 and the restart marks D0 to D7 belong to the data."""


@dataclass(frozen=True)
class Picture:
    """What a file shows."""

    image: NDArray[np.uint8]
    """(h, w, 3) RGB."""
    cover: NDArray[np.uint8] | None = None
    """(h, w) 0 where it is transparent to 255 where it is not; None without any transparency."""

    def on(self, backdrop: tuple[int, int, int] | NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(h, w, 3) the picture before a colour, or before a picture of any size."""
        if self.cover is None:
            return self.image
        behind = _behind(backdrop, self.image.shape[:2])
        share = self.cover[..., None].astype(np.float32) / 255
        mixed = behind + (self.image.astype(np.float32) - behind) * share
        return np.asarray(np.rint(mixed), np.uint8)


def read_picture(path: Path) -> Picture:
    """The picture in a file, turned upright as its EXIF orientation says.

    CMYK becomes RGB, 16 bits become 8, and transparency is kept apart.

    Raises:
        PortraitError: no file, or no whole picture of a kind that can be used.
    """
    if not path.is_file():
        raise PortraitError(f"no picture at {path}; give the path of a JPEG, PNG or WebP file")
    return decode_picture(path.read_bytes(), str(path))


def decode_picture(data: bytes, name: str) -> Picture:
    """As `read_picture`, of a file's bytes; `name` is what messages call it."""
    import cv2

    _check_kind(name, data)
    raw = np.frombuffer(data, np.uint8)
    try:
        image = cv2.imdecode(raw, cv2.IMREAD_COLOR) if raw.size else None
        full = cv2.imdecode(raw, cv2.IMREAD_UNCHANGED) if _may_be_transparent(data) else None
    except cv2.error as error:
        raise PortraitError(
            f"{name} is too large to be read ({error.err}); scale it to 8000 pixels or less",
            reason="too_large",
        ) from error
    if image is None:
        raise PortraitError(f"{name} is not a picture that can be read; save it as JPEG or PNG")
    upright = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
    return Picture(upright, None if full is None else _cover(full, upright.shape[:2]))


def _check_kind(name: str, data: bytes) -> None:
    """Raises PortraitError for what decoders would take half of, or nothing."""
    if data.startswith(b"GIF8"):
        raise PortraitError(
            f"{name} is a GIF, which has 256 colours at most: skin would show bands; give the "
            "photo that it was made from, as JPEG or PNG",
            reason="wrong_kind",
        )
    if data[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftyphevc"):
        raise PortraitError(
            f"{name} is a HEIC picture; export it as JPEG",
            reason="wrong_kind",
        )
    is_cut = (data.startswith(b"\xff\xd8") and not _is_whole_jpeg(data)) or (
        data.startswith(b"\x89PNG") and b"IEND" not in data[-64:]
    )
    if is_cut:
        raise PortraitError(
            f"{name} ends in the middle of the picture (after {len(data)} bytes): it was cut off "
            "when it was copied or downloaded; get the file again",
            reason="cut_off",
        )


def _is_whole_jpeg(data: bytes) -> bool:
    """Whether the end mark is reached; a thumbnail's own one, inside the EXIF data, is none."""
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return False
        mark = data[at + 1]
        if mark == 0xFF:  # a fill byte
            at += 1
            continue
        if mark == 0xD9:
            return True
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if mark == 0xDA:
            found = _NEXT_MARKER.search(data, at)
            if found is None:
                return False
            at = found.start()
    return data[at : at + 2] == b"\xff\xd9"


def _may_be_transparent(data: bytes) -> bool:
    return data.startswith(b"\x89PNG") or data[8:12] == b"WEBP"


def _cover(full: NDArray[np.generic], size: tuple[int, ...]) -> NDArray[np.uint8] | None:
    """The fourth channel in 8 bits where something of it is transparent."""
    if full.ndim != 3 or full.shape[2] != 4 or full.shape[:2] != size:
        return None
    cover = full[..., 3].astype(np.uint16)
    if full.dtype == np.uint16:
        cover //= 257
    return None if bool((cover == 255).all()) else cover.astype(np.uint8)


def _behind(
    backdrop: tuple[int, int, int] | NDArray[np.uint8], size: tuple[int, ...]
) -> NDArray[np.float32]:
    """A colour, or the middle of a picture, over (height, width)."""
    import cv2

    if isinstance(backdrop, tuple):
        return np.full((*size, 3), backdrop, np.float32)
    height, width = size
    scale = max(height / backdrop.shape[0], width / backdrop.shape[1])
    wide, tall = (max(1, round(side * scale)) for side in backdrop.shape[1::-1])
    mode = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    scaled = cv2.resize(backdrop, (max(wide, width), max(tall, height)), interpolation=mode)
    y, x = (scaled.shape[0] - height) // 2, (scaled.shape[1] - width) // 2
    return np.asarray(scaled[y : y + height, x : x + width], np.float32)
