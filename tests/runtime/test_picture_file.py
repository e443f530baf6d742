"""What the bytes of a picture say before any decoder sees them."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest

from fakes.uploads import jpeg_of, photo, png, with_comment
from halfsecond.errors import PortraitError
from halfsecond.models.face.picture_file import PictureFile, examine_picture

IMAGE = np.random.default_rng(1).integers(0, 255, (48, 64, 3), np.uint8)
JPEG, PNG = jpeg_of(IMAGE), cv2.imencode(".png", IMAGE)[1].tobytes()
LOSSY = cv2.imencode(".webp", IMAGE, [cv2.IMWRITE_WEBP_QUALITY, 80])[1].tobytes()
LOSSLESS = cv2.imencode(".webp", IMAGE, [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()
CLEAR = cv2.imencode(".webp", np.dstack([IMAGE, IMAGE[..., :1]]))[1].tobytes()
ZIP = b"PK\x03\x04" + bytes(40) + b"PK\x05\x06" + bytes(18)


def examined(data: bytes) -> PictureFile:
    return examine_picture(data, most_megapixels=1.0)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (JPEG, "JPEG"),
        (cv2.imencode(".jpg", IMAGE, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes(), "JPEG"),
        (cv2.imencode(".jpg", IMAGE, [cv2.IMWRITE_JPEG_RST_INTERVAL, 2])[1].tobytes(), "JPEG"),
        (with_comment(JPEG, b"taken by \xff\xd9 nobody"), "JPEG"),
        (PNG, "PNG"),
        (LOSSY, "WebP"),
        (LOSSLESS, "WebP"),
        (CLEAR, "WebP"),
    ],
)
def test_kind_and_size_are_read_without_decoding(data: bytes, kind: str) -> None:
    found = examined(data)
    assert (found.kind, found.width, found.height) == (kind, 64, 48)
    assert found.data == data


@pytest.mark.parametrize(
    "behind",
    [bytes(3), JPEG, b"\x00\x00\x00\x18ftypmp42" + bytes(400), b"SEFH notes of a telephone"],
    ids=["zeros", "a preview", "a moving photo", "notes"],
)
def test_what_a_telephone_puts_behind_a_jpeg_is_left_out(behind: bytes) -> None:
    assert examined(JPEG + behind).data == JPEG


BAD: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "wrong_kind"),
    "text": (b"a picture", "wrong_kind"),
    "a GIF": (b"GIF89a" + bytes(50), "wrong_kind"),
    "a TIFF": (b"II*\x00" + bytes(50), "wrong_kind"),
    "an SVG": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "wrong_kind"),
    "a playlist": (b"#EXTM3U\nfile:///etc/passwd\n", "wrong_kind"),
    "a JPEG that is cut off": (JPEG[: len(JPEG) // 2], "cut_off"),
    "a JPEG without its end": (JPEG[:-2], "cut_off"),
    "the head of a JPEG": (JPEG[:20], "cut_off"),
    "a JPEG that says it is longer": (JPEG[:4] + b"\xff\xff" + JPEG[6:30], "cut_off"),
    "a JPEG with a hole": (JPEG[:20] + bytes(60), "bad_picture"),
    "a PNG that is cut off": (PNG[:-20], "cut_off"),
    "a PNG that says it is longer": (PNG[:8] + b"\x7f\xff\xff\xff" + PNG[12:], "cut_off"),
    "a WebP that is cut off": (LOSSY[:-20], "cut_off"),
    "a JPEG and an archive": (JPEG + ZIP, "two_kinds"),
    "a JPEG, a gap and an archive": (JPEG + bytes(1000) + ZIP, "two_kinds"),
    "a JPEG and a PDF": (JPEG + b"%PDF-1.7", "two_kinds"),
    "a JPEG and a page": (JPEG + b"<HTML><script>alert(1)</script>", "two_kinds"),
    "a JPEG and a program": (JPEG + b"\x7fELF" + bytes(60), "two_kinds"),
    "a JPEG and a script": (JPEG + b"#!/bin/sh\nid", "two_kinds"),
    "a PNG and an archive": (PNG + ZIP, "two_kinds"),
    "a PNG and anything": (PNG + b"hidden", "two_kinds"),
    "a WebP and an archive": (LOSSY + ZIP, "two_kinds"),
    "a PNG without pixels": (png(0, 0), "bad_picture"),
    "a bomb": (png(8000, 8000), "too_large"),
    "a ribbon": (png(30_000, 1), "too_large"),
    "a JPEG that says 65500 x 65500": (
        with_comment(JPEG, b"x").replace(
            struct.pack(">HH", 48, 64), struct.pack(">HH", 65500, 65500)
        ),
        "too_large",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_whole_picture_alone_is_refused(name: str) -> None:
    data, reason = BAD[name]
    with pytest.raises(PortraitError) as refused:
        examined(data)
    assert refused.value.reason == reason


def test_a_photo_with_any_byte_changed_is_read_or_refused_and_nothing_else_happens() -> None:
    rng = np.random.default_rng(7)
    for data in (JPEG, PNG, LOSSY, CLEAR):
        for _ in range(500):
            bent = bytearray(data[: rng.integers(1, len(data) + 1)])
            bent[rng.integers(len(bent))] = rng.integers(256)
            try:
                examined(bytes(bent))
            except PortraitError as error:
                assert str(error)


def test_a_file_of_marks_alone_ends() -> None:
    with pytest.raises(PortraitError):
        examined(b"\xff\xd8\xff" + b"\xff" * 1_000_000)


def test_the_bundled_portrait_is_taken() -> None:
    assert examined(photo()).kind == "JPEG"
