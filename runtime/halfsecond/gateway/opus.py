"""Opus both ways, for browsers far away: a twentieth of the bytes of PCM."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.resampler import AudioResampler
from av.error import FFmpegError

from halfsecond import wire
from halfsecond.errors import WireError
from halfsecond.models.tts.voice import SPEECH_RATE_HZ

RATE_HZ = 48_000
BIT_RATE = 32_000
"""Speech in one channel; below 24 kbit/s consonants become dull."""
MAX_PACKET_BYTES = 1500
"""A packet of 20 ms has some 80 bytes at this rate; Opus allows 1275."""


class OpusDecoder:
    """Packets of a browser to PCM s16le, 48 kHz, mono."""

    def __init__(self) -> None:
        context = av.CodecContext.create("libopus", "r")
        assert isinstance(context, AudioCodecContext)
        context.sample_rate = RATE_HZ
        context.layout = "mono"
        self._context = context
        self._resampler = AudioResampler(format="s16", layout="mono", rate=RATE_HZ)

    def decode(self, packet: bytes) -> bytes:
        """(n,) s16le; raises WireError for what is no packet of Opus."""
        if not 0 < len(packet) <= MAX_PACKET_BYTES:
            raise WireError(f"a packet of Opus has 1 to {MAX_PACKET_BYTES} bytes: {len(packet)}")
        try:
            frames = self._context.decode(av.Packet(packet))
            return b"".join(
                out.to_ndarray().tobytes() for f in frames for out in self._resampler.resample(f)
            )
        except (FFmpegError, ValueError) as error:
            raise WireError(f"this is no packet of Opus: {error}") from error


class OpusEncoder:
    """The answer's PCM to packets of 20 ms, each with its place on the turn's clock."""

    def __init__(self) -> None:
        self._turn = 0
        self._reset(wire.Audio())

    def _reset(self, first: wire.Audio) -> None:
        context = av.CodecContext.create("libopus", "w")
        assert isinstance(context, AudioCodecContext)
        context.sample_rate = SPEECH_RATE_HZ
        context.layout = "mono"
        context.format = "s16"
        context.bit_rate = BIT_RATE
        context.time_base = Fraction(1, SPEECH_RATE_HZ)
        context.options = {"application": "lowdelay", "frame_duration": "20"}
        context.open()
        self._context = context
        self._first = first
        self._seq = 0
        self._waiting = np.zeros(0, np.int16)
        self._samples = 0

    def encode(self, header: wire.Audio, pcm: bytes) -> Iterator[tuple[wire.Audio, bytes]]:
        """What these samples, and those that waited, give: packets of one turn follow each other
        without a gap."""
        if header.turn != self._turn or header.session != self._first.session or header.seq == 0:
            self._turn = header.turn
            self._reset(header)
        self._waiting = np.concatenate((self._waiting, np.frombuffer(pcm, np.int16)))
        size = self._context.frame_size
        while len(self._waiting) >= size:
            block, self._waiting = self._waiting[:size], self._waiting[size:]
            yield from self._packets(block)

    def flush(self) -> Iterator[tuple[wire.Audio, bytes]]:
        """What waited for a whole packet; silence follows it."""
        if len(self._waiting):
            size = self._context.frame_size
            block = np.pad(self._waiting, (0, size - len(self._waiting)))
            self._waiting = self._waiting[:0]
            yield from self._packets(block)

    def _packets(self, block: np.ndarray) -> Iterator[tuple[wire.Audio, bytes]]:
        frame = av.AudioFrame.from_ndarray(block[None, :], format="s16", layout="mono")
        frame.sample_rate = SPEECH_RATE_HZ
        frame.pts = self._samples
        self._samples += len(block)
        for packet in self._context.encode(frame):
            first = self._first
            header = wire.Audio(
                session=first.session,
                turn=first.turn,
                generation=first.generation,
                seq=self._seq,
                pts=self._seq * len(block) / SPEECH_RATE_HZ,
            )
            self._seq += 1
            yield header, bytes(packet)
