"""Generated files say that they are: to people in a comment, to programs in XMP."""

from __future__ import annotations

import struct
import wave
from pathlib import Path
from xml.etree import ElementTree as ET

import av
import cv2
import numpy as np

from halfsecond import audio
from halfsecond.film import Film, write_mp4
from halfsecond.recording import Shown
from halfsecond.synthetic_media import (
    FACE_COMMENT,
    FACE_TYPE,
    SPEECH_COMMENT,
    SPEECH_TYPE,
    save_speech,
)

SOURCE_TYPE = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"


def source_type(xmp: bytes) -> str | None:
    """What an XMP packet says."""
    element = ET.fromstring(xmp).find(f".//{SOURCE_TYPE}")
    return None if element is None else element.text


def riff_chunks(data: bytes) -> dict[bytes, bytes]:
    assert data[:4] == b"RIFF"
    assert struct.unpack_from("<I", data, 4)[0] == len(data) - 8
    found, at = {}, 12
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at + 4)
        found[data[at : at + 4]] = data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    assert at == len(data)
    return found


def boxes(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 0
    while at < len(data):
        (size,) = struct.unpack_from(">I", data, at)
        found.append((data[at + 4 : at + 8], data[at + 8 : at + size]))
        at += size
    assert at == len(data)
    return found


def test_an_answer_that_is_saved_says_that_nobody_said_it_and_sounds_the_same(
    tmp_path: Path,
) -> None:
    for count in (2400, 2401):
        samples = (0.3 * np.sin(np.arange(count) / 5)).astype(np.float32)
        path = tmp_path / f"{count}.wav"
        save_speech(path, samples, rate_hz=24_000)
        chunks = riff_chunks(path.read_bytes())
        assert list(chunks) == [b"fmt ", b"data", b"LIST", b"_PMX"]
        assert source_type(chunks[b"_PMX"]) == SPEECH_TYPE
        with av.open(str(path)) as container:
            assert container.metadata["comment"] == SPEECH_COMMENT
        with wave.open(str(path)) as file:
            assert (file.getframerate(), file.getnframes()) == (24_000, count)
            assert file.readframes(count) == audio.float_to_pcm16(samples)


def test_a_film_says_that_nobody_said_it_and_plays(tmp_path: Path) -> None:
    picture = cv2.imencode(".jpg", np.full((64, 64, 3), 90, np.uint8))[1].tobytes()
    shown = Shown(0.0, 0.0, picture, is_driven=True, mouth=0.0, format="jpeg", size=(64, 64))
    film = Film([(0.0, shown)], np.zeros(24_000, np.float32), fps=25)
    write_mp4(tmp_path / "film.mp4", film)
    with av.open(str(tmp_path / "film.mp4")) as container:
        assert container.metadata["comment"] == FACE_COMMENT
        assert sum(1 for _ in container.decode(video=0)) == 12
    parts = boxes((tmp_path / "film.mp4").read_bytes())
    assert [name for name, _ in parts][-1] == b"uuid"
    assert source_type(parts[-1][1][16:]) == FACE_TYPE


def test_a_recording_of_a_person_says_nothing_of_the_kind(tmp_path: Path) -> None:
    audio.save_wav(tmp_path / "question.wav", np.zeros(100, np.float32))
    assert list(riff_chunks((tmp_path / "question.wav").read_bytes())) == [b"fmt ", b"data"]
