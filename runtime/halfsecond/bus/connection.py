"""One client as the server holds it: what it says is checked, and passed to its session."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass

from halfsecond import wire
from halfsecond.bus.outbox import Outbox
from halfsecond.errors import WireError
from halfsecond.stages.session import Session

AUDIO_RATES_HZ = range(8_000, 192_001)
MAX_CHANNELS = 8
MAX_AUDIO_S = 1.0
"""Audio in one message. Longer blocks would wait as megabytes, and hold up other sessions' VAD."""
TELL_AGAIN_S = 1.0
"""How long a client whose audio is dropped is not told again: an answer to every block would fill
its queue, and with it go the answers that it waits for."""


@dataclass
class Connection:
    """A client with a session."""

    identity: bytes
    hello: wire.Hello
    session: Session
    outbox: Outbox
    heard_s: float
    """When the client last said anything."""
    sender: asyncio.Task[None] | None = None
    audio_seq: int = -1
    """Of the last audio that came."""
    told_too_fast_s: float = -math.inf
    """When the client was last told that its audio is dropped."""

    def act(self, message: wire.ClientMessage, payload: bytes) -> None:
        """Does what the client asks of its session.

        Raises:
            WireError: the message breaks the protocol; nothing was done.
        """
        session = self.session
        if isinstance(message, wire.Audio):
            self._on_audio(message, payload)
        elif isinstance(message, wire.EndOfAudio):
            self._on_end_of_audio()
        elif isinstance(message, wire.Text):
            self._on_text(message)
        elif isinstance(message, wire.Greet):
            if not session.greet():
                raise WireError("there is no greeting; set phrases.greeting on the server")
        elif isinstance(message, wire.Interrupt):
            session.interrupt()
        elif isinstance(message, wire.Playhead):
            session.playhead(message)
        elif isinstance(message, wire.Credit):
            self.outbox.grant(message.frames)
        elif isinstance(message, wire.Upload):
            session.files.take(message, payload)

    def _on_text(self, message: wire.Text) -> None:
        if not message.text.strip():
            raise WireError("the text is empty")
        self.session.ask(message.text.strip())

    def _on_audio(self, message: wire.Audio, payload: bytes) -> None:
        if message.seq <= self.audio_seq:
            raise WireError(f"audio {message.seq} came after {self.audio_seq}; it was dropped")
        self.audio_seq = message.seq
        frame_bytes = 2 * self.hello.audio_channels
        if len(payload) % frame_bytes:
            raise WireError(
                f"audio is s16le in {self.hello.audio_channels} channels, so its bytes come in "
                f"{frame_bytes}s; these are {len(payload)}"
            )
        duration_s = len(payload) / frame_bytes / self.hello.audio_rate_hz
        if duration_s > MAX_AUDIO_S:
            raise WireError(
                f"a message holds {MAX_AUDIO_S:g} s of audio, this one {duration_s:g} s"
            )
        if not self.session.hear(payload) and self.heard_s - self.told_too_fast_s >= TELL_AGAIN_S:
            self.told_too_fast_s = self.heard_s
            self._tell_too_fast()

    def _on_end_of_audio(self) -> None:
        if not self.session.end_of_audio():
            self._tell_too_fast()

    def _tell_too_fast(self) -> None:
        message = "audio comes faster than it can be heard; some of it was dropped"
        self.outbox.put(wire.Error(session=self.session.name, code="too_fast", message=message))


def refusal(hello: wire.Hello) -> tuple[str, str] | None:
    """(code, message) of why no session can be opened for this hello; None if one can."""
    if hello.v != wire.PROTOCOL:
        return "bad_version", f"protocol {hello.v} is not spoken here; this is {wire.PROTOCOL}"
    rate_hz, channels = hello.audio_rate_hz, hello.audio_channels
    if rate_hz not in AUDIO_RATES_HZ or not 1 <= channels <= MAX_CHANNELS:
        return "bad_hello", (
            f"audio at {rate_hz} Hz in {channels} channels is not heard; it must be "
            f"{AUDIO_RATES_HZ[0]} to {AUDIO_RATES_HZ[-1]} Hz in 1 to {MAX_CHANNELS} channels"
        )
    return None
