"""A recording from a stranger: of few formats, told by its first bytes, and no more than is wanted.

FFmpeg also reads lists of other files and addresses; which reader it takes is not left to it.
"""

from __future__ import annotations

import io

from halfsecond import audio
from halfsecond.errors import AudioError

NAME = "the recording"
"""What messages call it: files of visitors have no names here."""
_READERS = (
    (0, b"RIFF", "wav"),
    (0, b"fLaC", "flac"),
    (0, b"OggS", "ogg"),
    (0, b"\x1aE\xdf\xa3", "matroska"),  # WebM: what browsers record
    (4, b"ftyp", "mov"),  # M4A
    (0, b"ID3", "mp3"),
    (0, b"\xff\xfb", "mp3"),
)


def decode_recording(data: bytes, *, most_s: float) -> audio.Recording:
    """What the file holds, up to a block beyond `most_s`.

    Raises:
        AudioError: another kind of file, or one that cannot be heard.
    """
    for at, start, reader in _READERS:
        if data[at : at + len(start)] == start:
            return audio.decode(io.BytesIO(data), NAME, reader=reader, most_s=most_s)
    raise AudioError(
        "this is no WAV, FLAC, Ogg, WebM, M4A or MP3 recording; save it as WAV", reason="wrong_kind"
    )
