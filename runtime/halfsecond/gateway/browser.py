"""What a browser and the gateway say to each other: docs/wire.md's messages, written in JSON.

Text frames are messages without payload. Binary frames from the browser are microphone audio as it
is, in the form that `hello` announced. Binary frames to the browser are sound and pictures:
`[u16 little-endian: bytes of the header][header, JSON][payload]`.
"""

from __future__ import annotations

import struct
from typing import Annotated, Literal

import msgspec

from halfsecond import wire
from halfsecond.errors import WireError

MAX_TEXT_BYTES = wire.MAX_HEADER_BYTES
MAX_SOUND_BYTES = 192_000
"""One second at 48 kHz in two channels: what the server takes in one message at most."""
MAX_STAMPS = 64

Sound = Literal["pcm", "opus"]
Stamps = Annotated[dict[str, float], msgspec.Meta(max_length=MAX_STAMPS)]


class BrowserHello(wire.Hello, frozen=True, kw_only=True, tag="hello"):
    """`hello` with the form that sound takes, both ways."""

    sound: Sound = "pcm"
    """`pcm`: s16le. `opus`: packets as WebCodecs makes them, 48 kHz mono."""


class Figures(wire.Header, frozen=True, kw_only=True, tag="figures"):
    """Browser: what it measured of a turn, or (turn 0) of the whole visit."""

    stamps: Stamps = msgspec.field(default_factory=dict[str, float])
    """Moments on the server's clock, in seconds."""
    values: Stamps = msgspec.field(default_factory=dict[str, float])
    """Anything else; names end in their unit."""


class BrowserWelcome(wire.Welcome, frozen=True, kw_only=True, tag="welcome"):
    """`welcome` with what a file is to be posted with."""

    upload: str = ""
    """Ticket of this session for /api/upload; empty where no files are taken."""


class ServerAway(wire.Header, frozen=True, kw_only=True, tag="away"):
    """Gateway: there is no server, or it does not answer; another `welcome` follows some time."""

    reason: str


BrowserMessage = (
    BrowserHello
    | wire.EndOfAudio
    | wire.Text
    | wire.Greet
    | wire.Interrupt
    | wire.Playhead
    | wire.Credit
    | wire.Clock
    | wire.Bye
    | Figures
)

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[BrowserMessage] = msgspec.json.Decoder(BrowserMessage)


def to_text(message: wire.Header) -> str:
    """The text frame of a message without payload."""
    return _encoder.encode(message).decode()


def to_bytes(message: wire.Header, payload: bytes) -> bytes:
    """The binary frame of sound or of a picture."""
    header = _encoder.encode(message)
    return struct.pack("<H", len(header)) + header + payload


def from_text(text: str) -> BrowserMessage:
    """A message that a browser sent.

    Raises:
        WireError: too long, no JSON object, or not a message of the protocol.
    """
    if len(text) > MAX_TEXT_BYTES:
        raise WireError(f"a message has at most {MAX_TEXT_BYTES} bytes, this one {len(text)}")
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise WireError(f"this is not a message of docs/gateway.md: {error}") from error


def check_sound(payload: bytes) -> bytes:
    """The microphone's audio; raises WireError for more than a second of it."""
    if len(payload) > MAX_SOUND_BYTES:
        raise WireError(f"audio has at most {MAX_SOUND_BYTES} bytes, this has {len(payload)}")
    return payload
