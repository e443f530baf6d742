"""A visitor whose time runs faster: speaks, listens and plays at a multiple of real time.

The server's turn logic counts samples and follows the playhead that is reported to it, so a
microphone and a player that are both `pace` times too fast make its day that much shorter. What
the engines need, and every time-out, stays what it is.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from halfsecond import wire
from halfsecond.audio import float_to_pcm16
from halfsecond.client import Client, Disconnected, Event, Received
from halfsecond.conversation import BLOCK_S, RATE_HZ
from halfsecond.errors import ServerError
from halfsecond.recording import Recorder, Reply
from halfsecond.timeline import Now, monotonic

REPORT_S = 0.25
"""Of playback, between two reports of the playhead (docs/wire.md)."""
POLL_S = 0.01
ANSWERED_SILENCE_S = 1.0
"""Of the visitor's time, after which nothing more follows a question that was answered."""
UNANSWERED_SILENCE_S = 4.0
"""The same where no turn has begun: longer than any wait for the end of a turn."""


class StuckError(ServerError):
    """A turn that did not end, or a state that did not become idle again."""


class Microphone:
    """Never stops: sends what is to be said, and silence between, `pace` times too fast."""

    def __init__(self, client: Client, *, pace: float, now: Now = monotonic) -> None:
        self._client = client
        self._now = now
        self._blocks: deque[bytes] = deque()
        self._silence = float_to_pcm16(np.zeros(int(BLOCK_S * RATE_HZ), np.float32))
        self.pace = pace
        self.silent_s = 0.0
        """Silence since the last thing that was said, in the visitor's time."""
        self.spoken_from_s = 0.0
        """When the first sample of that was spoken; it left a block later."""
        self._is_new = False

    def say(self, samples: NDArray[np.float32]) -> None:
        """(n,) mono 16 kHz, after what is being said."""
        step = int(BLOCK_S * RATE_HZ)
        starts = range(0, len(samples), step)
        self._blocks += [float_to_pcm16(samples[at : at + step]) for at in starts]
        self.silent_s, self._is_new = 0.0, True

    async def run(self) -> None:
        """Speaks until cancelled."""
        next_s = self._now()
        while True:
            if self._blocks:
                if self._is_new:
                    self._is_new = False
                    self.spoken_from_s = self._now() - BLOCK_S / self.pace
                await self._client.send_audio(self._blocks.popleft())
            else:
                await self._client.send_audio(self._silence)
                self.silent_s += BLOCK_S
            # After a hold-up it goes on from now: a burst would be too fast for any server.
            next_s = max(next_s + BLOCK_S / self.pace, self._now() - BLOCK_S)
            await asyncio.sleep(max(0.0, next_s - self._now()))


@dataclass
class Player:
    """Where the ear is in the answer that is played, `pace` times as fast as it was spoken."""

    pace: float
    turn: int = 0
    gaps: int = 0
    """Places in this turn where playback ran dry."""
    _start_s: float = 0.0
    _length_s: float = 0.0
    _paused_s: float | None = None

    def take(self, turn: int, *, at_s: float, duration_s: float) -> None:
        """Sound of a turn came; that of another turn begins a new answer."""
        if turn != self.turn:
            self.turn, self.gaps = turn, 0
            self._start_s, self._length_s, self._paused_s = at_s, 0.0, None
        dry_s = (at_s - self._start_s) - self._length_s / self.pace
        if self._paused_s is None and dry_s > 0:
            self._start_s += dry_s
            self.gaps += self._length_s > 0
        self._length_s += duration_s

    def pause(self, at_s: float) -> None:
        """Stands still."""
        if self._paused_s is None:
            self._paused_s = at_s

    def resume(self, at_s: float) -> None:
        """Goes on from where it stood."""
        if self._paused_s is not None:
            self._start_s += at_s - self._paused_s
            self._paused_s = None

    def position_s(self, now_s: float) -> float:
        """Seconds of the answer that were heard."""
        ear_s = now_s if self._paused_s is None else self._paused_s
        return max(0.0, min((ear_s - self._start_s) * self.pace, self._length_s))


@dataclass
class Watch:
    """What a session's messages say of its turns and its state."""

    state: wire.State = "idle"
    open_turns: set[int] = field(default_factory=set)
    ended_turns: int = 0
    """How many have ended, in all."""

    def see(self, message: wire.ServerMessage) -> None:
        """Takes note of a message."""
        if isinstance(message, wire.TurnEnd):
            self.open_turns.discard(message.turn)
            self.ended_turns += 1
        elif isinstance(message, wire.StateChange):
            self.state = message.state
            if message.turn:
                self.open_turns.add(message.turn)

    @property
    def is_quiet(self) -> bool:
        """No turn is open, and the face rests."""
        return not self.open_turns and self.state == "idle"


class FastVisitor:
    """One session of a client that is already open. `close` or `vanish` ends it."""

    def __init__(self, client: Client, *, pace: float, now: Now = monotonic) -> None:
        self._client = client
        self._now = now
        self.microphone = Microphone(client, pace=pace, now=now)
        self.player = Player(pace)
        self.watch = Watch()
        self.recorder = Recorder()
        self._ended: list[tuple[Reply, int]] = []
        self._said_at_turn = 0
        self._tasks = [
            asyncio.create_task(body)
            for body in (self._listen(), self.microphone.run(), self._report())
        ]

    # What the visitor does.

    def set_pace(self, pace: float) -> None:
        """Lives so many times as fast as real time from now on."""
        self.microphone.pace = self.player.pace = pace

    def say(self, samples: NDArray[np.float32]) -> None:
        """Speaks (n,) mono 16 kHz."""
        self._said_at_turn = self.watch.ended_turns
        self.microphone.say(samples)

    async def type(self, text: str) -> None:
        """Asks in writing."""
        self._said_at_turn = self.watch.ended_turns
        self.microphone.silent_s = 0.0
        await self._client.ask(text)

    async def interrupt(self) -> None:
        """Presses the button that stops the answer."""
        await self._client.interrupt()

    async def until_heard(self, after_s: float, *, limit_s: float) -> None:
        """Waits until `after_s` of the next answer has been heard, or it has ended before."""
        ended_before = self.watch.ended_turns

        def is_there() -> bool:
            if self.watch.ended_turns > ended_before:
                return True
            is_playing = self.player.turn in self.watch.open_turns
            return is_playing and self.player.position_s(self._now()) >= after_s

        await self._until(is_there, limit_s, "no answer came")

    async def until_silent(self, silence_s: float) -> None:
        """Waits until nothing was said for so long, in the visitor's time."""
        await self._until(lambda: self.microphone.silent_s >= silence_s, silence_s + 5.0, "")

    async def until_quiet(self, *, limit_s: float) -> None:
        """Waits until everything that was asked is over and nothing follows.

        Raises:
            StuckError: it is not within `limit_s`, or the server said goodbye.
        """

        def is_quiet() -> bool:
            is_answered = self.watch.ended_turns > self._said_at_turn
            silence_s = ANSWERED_SILENCE_S if is_answered else UNANSWERED_SILENCE_S
            return self.watch.is_quiet and self.microphone.silent_s >= silence_s

        await self._until(is_quiet, limit_s, "the session did not become quiet")

    def take_ended(self) -> list[tuple[Reply, int]]:
        """The turns that ended since the last call, each with its gaps; they are then forgotten."""
        ended, self._ended = self._ended, []
        self.recorder.replies.clear()
        self.recorder.idle.clear()
        return ended

    async def close(self) -> None:
        """Stops the microphone and the player; the client stays open."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # What happens meanwhile.

    async def _listen(self) -> None:
        async for event in self._client.events():
            self._on_event(event)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Disconnected):
            raise ServerError(event.reason)
        message = event.message
        self.watch.see(message)
        if isinstance(message, wire.Audio):
            duration_s = len(event.payload) / 2 / 24_000
            self.player.take(message.turn, at_s=event.at_s, duration_s=duration_s)
        elif isinstance(message, wire.Pause):
            self.player.pause(event.at_s)
        elif isinstance(message, wire.Resume):
            self.player.resume(event.at_s)
        if (reply := self._note(event)) is not None:
            gaps = self.player.gaps if self.player.turn == reply.turn else 0
            self._ended.append((reply, gaps))

    def _note(self, event: Received) -> Reply | None:
        if isinstance(event.message, wire.Bye):
            raise ServerError(f"the server said goodbye: {event.message.reason}")
        return self.recorder.add(event)

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(REPORT_S / self.player.pace)
            if self.player.turn in self.watch.open_turns:
                position_s = self.player.position_s(self._now())
                await self._client.report_playhead(turn=self.player.turn, pts_s=position_s)

    async def _until(self, is_so: Callable[[], bool], limit_s: float, otherwise: str) -> None:
        give_up_s = self._now() + limit_s
        while not is_so():
            for task in self._tasks:
                if task.done():
                    task.result()  # raises what ended it
            if self._now() > give_up_s:
                raise StuckError(
                    f"{otherwise} within {limit_s:g} s: state {self.watch.state}, "
                    f"open turns {sorted(self.watch.open_turns)}"
                )
            await asyncio.sleep(POLL_S)
