"""Plays a visitor: speaks a recording at real-time pace, and takes down what comes back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halfsecond import audio, wire
from halfsecond.audio import float_to_pcm16
from halfsecond.client import Client, Disconnected, Received
from halfsecond.errors import AudioError, ServerError
from halfsecond.recording import Recorder, Reply
from halfsecond.timeline import Now, Span, Timeline, monotonic

RATE_HZ = 16_000
BLOCK_S = 0.02
"""What a sound card delivers at a time."""

UNHEARD_S = 3.0
"""A recording in which speech has not begun this long after its end holds none."""
TRAILING_SILENCE_S = 0.8
"""More than any recording goes on after its last word; a turn confirmed earlier cut in."""

Question = str | Path | NDArray[np.float32]
"""A text, the path of a recording, or (n,) mono 16 kHz speech."""


@dataclass(frozen=True)
class Exchange:
    """A question that was spoken or typed, and the reply to it."""

    spoken_from_s: float
    """When the first sample of the question was spoken (client's clock); it left a block later."""
    reply: Reply
    cut_ins: list[Reply] = field(default_factory=list)
    """Turns that the server began before the question was over."""

    def timeline(self) -> Timeline:
        """The server's timeline with what the client saw of it.

        Both are taken for one clock, as they are on one machine (CLOCK_MONOTONIC).
        """
        end = self.reply.end
        timeline = Timeline(
            turn=self.reply.turn,
            marks=dict(end.marks) if end else {},
            spans=[Span(*span) for span in end.spans] if end else [],
            question=self.reply.transcript,
            answer=self.reply.text,
        )
        if (first_audio_s := self.reply.first_audible_s()) is not None:
            timeline.mark("first_audio_heard", first_audio_s)
        if (first_frame_s := self.reply.first_driven_s()) is not None:
            timeline.mark("first_frame_seen", first_frame_s)
        return timeline


class Visitor:
    """A client that asks one thing after another; everything is kept in `recorder`."""

    def __init__(self, client: Client, *, now: Now = monotonic) -> None:
        self._client = client
        self._now = now
        self.recorder = Recorder()
        self._ended: asyncio.Queue[Reply] = asyncio.Queue()
        self._listener = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for event in self._client.events():
            if isinstance(event, Disconnected):
                raise ServerError(event.reason)
            if (reply := self.recorder.add(event)) is not None:
                self._ended.put_nowait(reply)
            elif _is_fatal(event):
                raise ServerError(self.recorder.errors[-1])

    async def say(self, samples: NDArray[np.float32], *, timeout_s: float = 60.0) -> Exchange:
        """Speaks (n,) mono 16 kHz at real-time pace, then is silent until the reply has ended.

        Raises:
            AudioError: the server heard no speech in it.
            ServerError: no reply ended in time, or the server is gone.
        """
        speaking = asyncio.create_task(self._speak(samples))
        spoken_from_s = self._now()
        over_s = spoken_from_s + len(samples) / RATE_HZ - TRAILING_SILENCE_S
        cut_ins: list[Reply] = []
        try:
            while _confirmed_s(reply := await self._reply(timeout_s, also=speaking)) < over_s:
                cut_ins.append(reply)
            return Exchange(spoken_from_s, reply, cut_ins)
        finally:
            speaking.cancel()
            await asyncio.gather(speaking, return_exceptions=True)

    async def type(self, text: str, *, timeout_s: float = 60.0) -> Exchange:
        """Sends a typed question and waits until the reply has ended."""
        asked_s, turn_before = self._now(), self._client.latest_turn
        await self._client.ask(text)
        while (reply := await self._reply(timeout_s)).turn <= turn_before:
            continue  # the end of an answer that this question cut off
        return Exchange(asked_s, reply)

    async def _speak(self, samples: NDArray[np.float32]) -> None:
        """The recording, then room tone: a microphone never stops."""
        spoken_before = self.recorder.speech_count
        patience_s = len(samples) / RATE_HZ + UNHEARD_S
        block = int(BLOCK_S * RATE_HZ)
        silence = float_to_pcm16(np.zeros(block, np.float32))
        start_s, number = self._now(), 0
        while True:
            piece = samples[number * block : (number + 1) * block]
            number += 1
            # A sound card hands a block over when its last sample has been heard, not its first.
            await asyncio.sleep(max(0.0, start_s + number * BLOCK_S - self._now()))
            await self._client.send_audio(float_to_pcm16(piece) if len(piece) else silence)
            if number * BLOCK_S > patience_s and self.recorder.speech_count == spoken_before:
                raise AudioError(
                    "no speech was heard in the recording; check that it is not silent, or noise"
                )

    async def _reply(self, timeout_s: float, also: asyncio.Task[None] | None = None) -> Reply:
        ended = asyncio.create_task(self._ended.get())
        watched: set[asyncio.Task[object]] = {ended, self._listener}
        if also is not None:
            watched.add(also)
        done, _ = await asyncio.wait(
            watched, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
        )
        if ended in done:
            return ended.result()
        ended.cancel()
        for task in done:
            task.result()  # raises what ended it
        raise ServerError(f"no reply ended within {timeout_s:g} s")

    async def close(self) -> None:
        """Stops listening; the client stays open."""
        self._listener.cancel()
        await asyncio.gather(self._listener, return_exceptions=True)


async def reply_to(client: Client, question: Question, *, timeout_s: float) -> Reply:
    """The whole answer of an open client to one question; see `Client.reply`."""
    visitor = Visitor(client)
    try:
        if isinstance(question, str):
            exchange = await visitor.type(question, timeout_s=timeout_s)
        else:
            samples = audio.load(question).samples if isinstance(question, Path) else question
            exchange = await visitor.say(samples, timeout_s=timeout_s)
        end = exchange.reply.end
        if end is not None and end.reason == "failed":
            raise ServerError(f"the turn failed: {'; '.join(visitor.recorder.errors)}")
        return exchange.reply
    finally:
        await visitor.close()


def _confirmed_s(reply: Reply) -> float:
    """When the server took the visitor's turn for finished; both clocks are one machine's."""
    return reply.end.marks.get("endpoint", 0.0) if reply.end else 0.0


def _is_fatal(event: Received) -> bool:
    return isinstance(event.message, wire.Error) and event.message.is_fatal
