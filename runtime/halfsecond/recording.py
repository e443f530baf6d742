"""What a client saw and heard, as it would have been played: for films, figures and tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halfsecond import wire
from halfsecond.audio import pcm16_to_float
from halfsecond.client import Received
from halfsecond.models.tts.voice import SPEECH_RATE_HZ
from halfsecond.synthetic_media import save_speech

AUDIBLE_DBFS = -45.0
"""A reply sample above this is heard; design: voice → first audio."""
GAP_TOLERANCE_S = 0.002


@dataclass(frozen=True)
class Shown:
    """A picture and when it appeared (client's clock)."""

    at_s: float
    pts_s: float
    data: bytes
    is_driven: bool
    mouth: float
    format: wire.VideoFormat
    size: tuple[int, int]


@dataclass
class Pause:
    """The server told the client to stand still, and later to go on."""

    from_s: float
    until_s: float | None = None
    """None while it lasts, or where the answer was dropped."""


@dataclass
class Reply:
    """The sound and pictures of one turn as they arrived."""

    turn: int
    audio: list[tuple[float, float, NDArray[np.float32]]] = field(default_factory=list)
    """(arrival, pts, samples at `rate_hz`)."""
    pictures: list[Shown] = field(default_factory=list)
    transcript: str = ""
    captions: list[str] = field(default_factory=list)
    end: wire.TurnEnd | None = None
    transcript_at_s: float | None = None
    pauses: list[Pause] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The answer as its captions gave it."""
        return " ".join(c.strip() for c in self.captions).strip()

    @property
    def playback_start_s(self) -> float | None:
        """When a client that buffers nothing began to play: the arrival of the first packet."""
        return self.audio[0][0] if self.audio else None

    def samples(self) -> NDArray[np.float32]:
        """(n,) the whole answer at the wire's 24 kHz."""
        pieces = [samples for _, _, samples in self.audio]
        return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)

    def save_sound(self, path: Path | str) -> None:
        """Writes the whole answer as a WAV file of 16 bit that says that it is synthetic."""
        save_speech(Path(path), self.samples(), rate_hz=SPEECH_RATE_HZ)

    def first_audible_s(self) -> float | None:
        """When the client held the first sample above −45 dBFS."""
        level = 10 ** (AUDIBLE_DBFS / 20)
        for at_s, _, samples in self.audio:
            if np.any(np.abs(samples) > level):
                return at_s
        return None

    def first_driven_s(self) -> float | None:
        """When the first picture came whose mouth the answer moves."""
        driven = [shown.at_s for shown in self.pictures if shown.is_driven]
        return min(driven) if driven else None

    def due_s(self, pts_s: float) -> float | None:
        """When `pts_s` is played by a client that buffers nothing; None if it never is."""
        due_s = self.playback_start_s
        if due_s is None:
            return None
        due_s += pts_s
        for pause in self.pauses:
            if pause.from_s > due_s:
                break
            if pause.until_s is None:
                return None
            due_s += pause.until_s - pause.from_s
        return due_s

    def gaps(self) -> list[float]:
        """Seconds of silence in each place where playback ran dry."""
        late_s = 0.0
        gaps: list[float] = []
        for at_s, pts_s, _ in self.audio:
            due_s = self.due_s(pts_s)
            if due_s is not None and at_s - due_s - late_s > GAP_TOLERANCE_S:
                gaps.append(at_s - due_s - late_s)
                late_s = at_s - due_s
        return gaps


class Recorder:
    """Takes a client's events and keeps what a visitor would have seen and heard."""

    def __init__(self) -> None:
        self.replies: dict[int, Reply] = {}
        self.idle: list[Shown] = []
        self.errors: list[str] = []
        self.speech_count = 0
        """How often the server said that the visitor had begun to speak."""

    def add(self, event: Received) -> Reply | None:
        """Notes an event; returns the turn that ended with it, if one did."""
        message = event.message
        if isinstance(message, wire.Video):
            self._add_picture(message, event)
        elif isinstance(message, wire.Audio):
            samples = pcm16_to_float(event.payload)
            self._reply(message.turn).audio.append((event.at_s, message.pts, samples))
        elif isinstance(message, wire.Transcript) and message.is_final:
            reply = self._reply(message.turn)
            reply.transcript, reply.transcript_at_s = message.text, event.at_s
        elif isinstance(message, wire.Pause):
            self._reply(message.turn).pauses.append(Pause(event.at_s))
        elif isinstance(message, wire.Resume):
            self._resume(message.turn, event.at_s)
        elif isinstance(message, wire.Answer):
            self._reply(message.turn).captions.append(message.text)
        elif isinstance(message, wire.Speech):
            self.speech_count += message.is_speaking
        elif isinstance(message, wire.Error):
            self.errors.append(f"{message.code}: {message.message}")
        elif isinstance(message, wire.TurnEnd):
            reply = self._reply(message.turn)
            reply.end = message
            return reply
        return None

    def _reply(self, turn: int) -> Reply:
        return self.replies.setdefault(turn, Reply(turn))

    def _resume(self, turn: int, at_s: float) -> None:
        pauses = self._reply(turn).pauses
        if pauses and pauses[-1].until_s is None:
            pauses[-1].until_s = at_s

    def _add_picture(self, message: wire.Video, event: Received) -> None:
        shown = Shown(
            at_s=event.at_s,
            pts_s=message.pts,
            data=event.payload,
            is_driven=message.is_driven,
            mouth=message.mouth,
            format=message.format,
            size=(message.width, message.height),
        )
        if message.turn:
            self._reply(message.turn).pictures.append(shown)
        else:
            self.idle.append(shown)


def decode_picture(shown: Shown) -> NDArray[np.uint8]:
    """(height, width, 3) RGB of a picture as it came over the wire."""
    if shown.format == "rgb":
        width, height = shown.size
        return np.frombuffer(shown.data, np.uint8).reshape(height, width, 3)
    import cv2

    decoded = cv2.imdecode(np.frombuffer(shown.data, np.uint8), cv2.IMREAD_COLOR)
    if decoded is None:
        raise ValueError("a picture of the recording is no JPEG")
    return np.ascontiguousarray(decoded[:, :, ::-1]).astype(np.uint8, copy=False)
