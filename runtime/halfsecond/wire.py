"""The messages of the ZeroMQ wire, as docs/wire.md describes them byte by byte.

A message is two ZeroMQ frames, `[header][payload]`: the header is a msgpack map whose `type` names
the struct below, the payload is raw audio or picture bytes and empty elsewhere. Unknown header
keys are ignored, so that later servers may add some.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

import msgspec

from halfsecond.errors import WireError

PROTOCOL = 1
MAX_HEADER_BYTES = 16 * 1024
MAX_PAYLOAD_BYTES = 1024 * 1024
"""What a server takes in; a client must take 4 MiB (one raw 720 × 1280 picture)."""

VideoFormat = Literal["jpeg", "rgb", "none"]
State = Literal["idle", "listening", "thinking", "speaking"]
TurnEndReason = Literal["complete", "interrupted", "empty", "failed"]
UploadKind = Literal["portrait", "voice"]
Frames = Annotated[int, msgspec.Meta(ge=0)]


class Header(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """The envelope that every message carries; a message uses what it needs of it."""

    session: str = ""
    turn: int = 0
    """Counts a session's turns from 1; 0 outside any turn."""
    generation: int = 0
    """Raised by every interruption; whatever is older must be dropped."""
    seq: int = 0
    """Counts the messages of one type within a turn from 0."""
    pts: float = 0.0
    """Seconds on the turn's playback clock, whose zero is the first sample of the answer."""


class Hello(Header, frozen=True, kw_only=True, tag="hello"):
    """Client: opens a session."""

    v: int = PROTOCOL
    client: str = ""
    language: str | None = None
    avatar: str | None = None
    voice: str | None = None
    audio_rate_hz: int = 16_000
    audio_channels: int = 1
    video: VideoFormat = "jpeg"
    wants_idle: bool = True
    """Whether frames of the resting face are sent between answers."""
    credit: Frames = 50
    """Video frames that the client can take before it grants more."""
    fps: Literal[25, 30] | None = None
    """Pictures of an answer a second; None: the server's own."""


class Audio(Header, frozen=True, kw_only=True, tag="audio"):
    """Both ways: PCM s16le. From the client at its own rate, from the server at 24 kHz mono."""


class EndOfAudio(Header, frozen=True, kw_only=True, tag="end_of_audio"):
    """Client: nothing more will be said; answer what was heard without waiting for silence."""


class Text(Header, frozen=True, kw_only=True, tag="text"):
    """Client: a typed question."""

    text: str


class Greet(Header, frozen=True, kw_only=True, tag="greet"):
    """Client: a visitor has come; speak the greeting."""


class Interrupt(Header, frozen=True, kw_only=True, tag="interrupt"):
    """Client: stop the answer."""


class Playhead(Header, frozen=True, kw_only=True, tag="playhead"):
    """Client: the answer has been heard up to `pts`."""

    at_s: float | None = None
    """When that was heard, on the server's clock; None: now, as this message comes."""
    offset_s: float | None = None
    """How far the sound was beyond `pts` of the newest picture when that appeared."""
    dropped: Frames = 0
    """Pictures of the turn that were dropped so far because they were late."""


class Credit(Header, frozen=True, kw_only=True, tag="credit"):
    """Client: `frames` more video frames may be sent."""

    frames: Frames


class Upload(Header, frozen=True, kw_only=True, tag="upload"):
    """Client: a piece of a file, in order of `seq` from 0; `uploaded` answers the last one."""

    kind: UploadKind
    size: Annotated[int, msgspec.Meta(ge=1)]
    """Bytes of the whole file, in every piece."""
    consent: str = ""
    """Of a voice: who agreed that it may be spoken with, and when."""


class Clock(Header, frozen=True, kw_only=True, tag="clock"):
    """Client sends `client_s`; the server returns it with its own clock at receipt and reply.

    The reply's `session` is empty when the server knows none of this client: say hello again.
    """

    client_s: float = 0.0
    received_s: float = 0.0
    sent_s: float = 0.0


class Bye(Header, frozen=True, kw_only=True, tag="bye"):
    """Both ways: the session is over."""

    reason: str = ""


class Welcome(Header, frozen=True, kw_only=True, tag="welcome"):
    """Server: the session is open."""

    v: int = PROTOCOL
    server: str = ""
    speech_rate_hz: int = 24_000
    fps: int = 25
    width: int = 512
    height: int = 512
    video: VideoFormat = "jpeg"
    language: str = "en"
    voice: str = ""
    avatar: str = ""
    """Name of the face that is shown; empty where it has none."""
    questions: list[str] = []
    """Preset questions, for buttons: send one as `text`."""
    uploads: list[str] = []
    """Kinds of files that a visitor may upload."""
    timeout_s: float = 10.0
    """A client that is silent for this long (not even `clock`) loses its session."""


class Busy(Header, frozen=True, kw_only=True, tag="busy"):
    """Server: no session is free."""

    sessions: int
    limit: int


class Error(Header, frozen=True, kw_only=True, tag="error"):
    """Server: a message was not acted upon, or a stage failed."""

    code: str
    message: str
    is_fatal: bool = False
    """True when there is no session after this message."""


class StateChange(Header, frozen=True, kw_only=True, tag="state"):
    """Server: what the face is doing; a raised `generation` voids everything older."""

    state: State


class Speech(Header, frozen=True, kw_only=True, tag="speech"):
    """Server: the visitor started or stopped; `pts` is seconds of microphone audio received."""

    is_speaking: bool


class Transcript(Header, frozen=True, kw_only=True, tag="transcript"):
    """Server: what was heard."""

    text: str
    language: str = ""
    is_final: bool = True


class Answer(Header, frozen=True, kw_only=True, tag="answer"):
    """Server: the text of a clause whose speech begins at `pts`."""

    text: str
    duration_s: float = 0.0


class Video(Header, frozen=True, kw_only=True, tag="video"):
    """Server: a picture to show at `pts` of the turn, or at once when it is idle (turn 0)."""

    width: int
    height: int
    format: VideoFormat = "jpeg"
    is_driven: bool = False
    mouth: float = 0.0
    """Commanded opening of the mouth, 0 to 1."""


class Uploaded(Header, frozen=True, kw_only=True, tag="uploaded"):
    """Server: the session uses the file from now on, or it was refused."""

    kind: UploadKind
    is_taken: bool
    reason: str = ""
    """Why not, for a program; docs/wire.md has them all."""
    message: str = ""
    """For a person: what was found and what to do; also advice where it was taken."""


class Pause(Header, frozen=True, kw_only=True, tag="pause"):
    """Server: somebody may be speaking over the answer. Stop the turn's sound and mouth where they
    are, and keep what you hold of them: `resume` follows, or a higher generation."""


class Resume(Header, frozen=True, kw_only=True, tag="resume"):
    """Server: it was nothing. Go on with the turn from where you stopped."""


class TurnEnd(Header, frozen=True, kw_only=True, tag="turn_end"):
    """Server: everything of this turn was sent (or dropped); `pts` is the answer's length."""

    reason: TurnEndReason
    marks: dict[str, float] = {}
    """Moments of the turn on the server's clock, in seconds; their names are in docs/wire.md."""
    spans: list[tuple[str, str, float, float]] = []
    """(stage, detail, start, end) on the server's clock, in seconds."""


ClientMessage = (
    Hello | Audio | EndOfAudio | Text | Greet | Interrupt | Playhead | Credit | Upload | Clock | Bye
)
ServerMessage = (
    Welcome
    | Busy
    | Error
    | StateChange
    | Speech
    | Transcript
    | Answer
    | Audio
    | Video
    | Uploaded
    | Pause
    | Resume
    | TurnEnd
    | Clock
    | Bye
)

M = TypeVar("M", bound=Header)

_encoder = msgspec.msgpack.Encoder()
_client_decoder: msgspec.msgpack.Decoder[ClientMessage] = msgspec.msgpack.Decoder(ClientMessage)
_server_decoder: msgspec.msgpack.Decoder[ServerMessage] = msgspec.msgpack.Decoder(ServerMessage)


def encode(message: Header, payload: bytes | memoryview = b"") -> list[bytes | memoryview]:
    """The two ZeroMQ frames of a message."""
    return [_encoder.encode(message), payload]


def decode_from_client(frames: list[bytes]) -> tuple[ClientMessage, bytes]:
    """A message that a client sent, and its payload.

    Raises:
        WireError: not two frames, too long, no msgpack map, or not a message of the protocol.
    """
    return _decode(frames, _client_decoder, is_limited=True)


def decode_from_server(frames: list[bytes]) -> tuple[ServerMessage, bytes]:
    """A message that a server sent, of any length, and its payload; raises WireError as above."""
    return _decode(frames, _server_decoder, is_limited=False)


def _decode(
    frames: list[bytes], decoder: msgspec.msgpack.Decoder[Any], *, is_limited: bool
) -> tuple[Any, bytes]:
    if len(frames) != 2:
        raise WireError(f"a message has 2 frames (header, payload), this one has {len(frames)}")
    header, payload = frames
    if is_limited and len(header) > MAX_HEADER_BYTES:
        raise WireError(f"the header has {len(header)} bytes; at most {MAX_HEADER_BYTES} are read")
    if is_limited and len(payload) > MAX_PAYLOAD_BYTES:
        raise WireError(f"the payload has {len(payload)} bytes; at most {MAX_PAYLOAD_BYTES}")
    try:
        return decoder.decode(header), payload
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # msgspec passes the last two on as they are: bytes that are no UTF-8, and deep nesting.
        raise WireError(f"the header is not a message of protocol {PROTOCOL}: {error}") from error
