"""What generated files say of themselves: that they are, in words and for programs.

For programs it is IPTC's Digital Source Type (cv.iptc.org/newscodes/digitalsourcetype) in an XMP
packet (ISO 16684-1), which is what IPTC, C2PA and search engines read; XMP's part 3 says where it
goes in each kind of file. It can be taken out by whoever wants to: it informs, it proves nothing.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halfsecond import audio

_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
SPEECH_TYPE = f"{_TYPES}trainedAlgorithmicMedia"
"""Made by a model that was trained on recordings: a voice's answer."""
FACE_TYPE = f"{_TYPES}compositeWithTrainedAlgorithmicMedia"
"""Captured media with such in it: a person's photo that moves and speaks."""
SPEECH_COMMENT = "Synthetic speech, made by halfsecond. Nobody said this."
FACE_COMMENT = "Synthetic: face and voice are made by halfsecond. Nobody said this."

_XMP_BOX = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
"""The uuid of XMP's box in MP4."""


def xmp_packet(source_type: str) -> bytes:
    """The XMP that says how something was made."""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
        ' xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:CreatorTool="halfsecond">'
        f"<Iptc4xmpExt:DigitalSourceType>{source_type}</Iptc4xmpExt:DigitalSourceType>"
        "</rdf:Description></rdf:RDF></x:xmpmeta>"
        '<?xpacket end="r"?>'
    ).encode()


def save_speech(path: Path, samples: NDArray[np.float32], *, rate_hz: int) -> None:
    """Writes (n,) samples of a voice as a 16-bit mono WAV file that says what it is."""
    audio.save_wav(path, samples, rate_hz=rate_hz)
    about = b"INFO" + _chunk(b"ICMT", SPEECH_COMMENT.encode() + b"\0")
    about += _chunk(b"ISFT", b"halfsecond\0")
    with path.open("r+b") as file:
        file.seek(0, os.SEEK_END)
        file.write(b"\0" * (file.tell() % 2))
        file.write(_chunk(b"LIST", about) + _chunk(b"_PMX", xmp_packet(SPEECH_TYPE)))
        size = file.tell()
        file.seek(4)
        file.write(struct.pack("<I", size - 8))


def _chunk(name: bytes, body: bytes) -> bytes:
    """A part of a RIFF file; its length is even."""
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def mark_film(path: Path) -> None:
    """Adds the XMP to an MP4 that shows a face; the comment is the container's own metadata."""
    body = _XMP_BOX + xmp_packet(FACE_TYPE)
    with path.open("ab") as file:
        file.write(struct.pack(">I", 8 + len(body)) + b"uuid" + body)
