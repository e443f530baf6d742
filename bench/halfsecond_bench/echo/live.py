"""A client in a room: what it plays comes back into its microphone, at real-time pace."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import numpy as np
import soxr
from numpy.typing import NDArray

from halfsecond import wire
from halfsecond.audio import float_to_pcm16, pcm16_to_float
from halfsecond.client import Client, Received
from halfsecond.timeline import Now, monotonic
from halfsecond_bench.echo.room import ROOMS, Room, room_tone

RATE_HZ = 16_000
BLOCK = 320
HISTORY_S = 1.0
"""Of the loudspeaker, longer than any room's tail."""
REPORT_S = 0.2


class Loudspeaker:
    """Plays the packets of the newest turn one after another, `delay_s` after they came.

    Pure: blocks of 20 ms are taken one by one with `next_block`, at 16 kHz.
    """

    def __init__(self, *, delay_s: float) -> None:
        self._delay_blocks = round(delay_s * RATE_HZ / BLOCK)
        self._wait_blocks = 0
        self._waiting = np.zeros(0, np.float32)
        self._turn = 0
        self._generation = 0
        self._is_paused = False
        self._resampler = _resampler()
        self.position_s = 0.0
        """How much of the turn was heard."""

    @property
    def turn(self) -> int:
        """The turn that is played."""
        return self._turn

    @property
    def is_playing(self) -> bool:
        """Whether the next block has sound."""
        return len(self._waiting) > 0 and not self._is_paused and self._wait_blocks == 0

    def take(self, message: wire.ServerMessage, payload: bytes) -> None:
        """Acts on a message as a client does: plays, pauses, goes on, or drops what is void."""
        if message.generation > self._generation:
            self._generation = message.generation
            self._waiting = self._waiting[:0]
            self._is_paused = False
        if isinstance(message, wire.Pause):
            self._is_paused = True
        elif isinstance(message, wire.Resume):
            self._is_paused = False
        elif isinstance(message, wire.Audio) and message.generation == self._generation:
            if message.turn != self._turn:
                self._turn, self.position_s = message.turn, 0.0
                self._resampler = _resampler()
                self._wait_blocks = self._delay_blocks
            samples = self._resampler.resample_chunk(pcm16_to_float(payload))
            self._waiting = np.concatenate([self._waiting, samples])

    def next_block(self) -> NDArray[np.float32]:
        """(320,) what leaves the loudspeaker in the next 20 ms."""
        block = np.zeros(BLOCK, np.float32)
        if self._wait_blocks:
            self._wait_blocks -= 1
        elif self.is_playing:
            piece, self._waiting = self._waiting[:BLOCK], self._waiting[BLOCK:]
            block[: len(piece)] = piece
            self.position_s += len(piece) / RATE_HZ
        return block


def _resampler() -> soxr.ResampleStream:
    return soxr.ResampleStream(24_000, RATE_HZ, 1, dtype="float32", quality="QQ")


@dataclass
class EchoingRoom:
    """Sends what a microphone hears in a room in which the answers are played aloud.

    Hand it every event of the client (`take`); `say` speaks over whatever is played. Close it.

    gain: of the loudspeaker in the microphone; 0.5 makes the default voice's echo as loud as a
        visitor at -26 dBFS.
    """

    client: Client
    gain: float
    delay_s: float = 0.04
    room: Room = ROOMS[1]
    reports_playhead: bool = True
    now: Now = monotonic
    _visitor: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))

    def __post_init__(self) -> None:
        self.loudspeaker = Loudspeaker(delay_s=self.delay_s)
        self._history = np.zeros(int(HISTORY_S * RATE_HZ), np.float32)
        self._tone = room_tone(10 * RATE_HZ, seed=0)
        self._task = asyncio.create_task(self._send())

    def take(self, event: Received) -> None:
        """Plays what the server sent."""
        self.loudspeaker.take(event.message, event.payload)

    def say(self, samples: NDArray[np.float32]) -> None:
        """Speaks (n,) mono 16 kHz from the next block on, after what is being said."""
        self._visitor = np.concatenate([self._visitor, samples])

    async def close(self) -> None:
        """Stops sending."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _send(self) -> None:
        start_s, number = self.now(), 0
        while True:
            block = self._hear(number)
            number += 1
            await asyncio.sleep(max(0.0, start_s + number * BLOCK / RATE_HZ - self.now()))
            await self.client.send_audio(float_to_pcm16(block))
            if self.reports_playhead and number % round(REPORT_S * RATE_HZ / BLOCK) == 0:
                await self._report()

    def _hear(self, number: int) -> NDArray[np.float32]:
        self._history = np.concatenate([self._history[BLOCK:], self.loudspeaker.next_block()])
        echo = self.room.echo(self._history)[-BLOCK:]
        spoken, self._visitor = self._visitor[:BLOCK], self._visitor[BLOCK:]
        at = number * BLOCK % (len(self._tone) - BLOCK)
        heard = self._tone[at : at + BLOCK] + self.gain * echo
        heard[: len(spoken)] += spoken
        return heard.astype(np.float32)

    async def _report(self) -> None:
        if self.loudspeaker.is_playing:
            await self.client.report_playhead(
                turn=self.loudspeaker.turn, pts_s=self.loudspeaker.position_s
            )
