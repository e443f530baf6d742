"""The sides of the comparison, each of which answers one recording at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from halfsecond import audio, wire
from halfsecond.client import Client
from halfsecond.conversation import RATE_HZ, Exchange, Visitor
from halfsecond.recording import Recorder, Reply
from halfsecond.timeline import Span, monotonic
from halfsecond_bench.clips import Clip
from halfsecond_bench.compare.sequential import PAUSE_THRESHOLD_S, Played, SequentialRecipe
from halfsecond_bench.compare.turns import SideTurn
from halfsecond_bench.latency import timeline_of

SETTLE_S = 0.8
"""A visitor comes, and speaks this much later; the server takes the persona into its cache."""
LULL_S = 0.7
"""An answer of which nothing more has come for this long is there as a whole: it is made several
times faster than it is played. One that was not would count as other words."""
LOOK_S = 0.05


class Side(Protocol):
    """Somebody who is asked recordings."""

    async def turn(self, clip: Clip) -> SideTurn:
        """Speaks the recording to it, and waits until its answer has ended."""
        ...


@dataclass(frozen=True)
class OurServer:
    """A running server of this project; every turn is a session of its own, so that nothing of it
    (the resting face) runs while another side answers."""

    address: str

    async def turn(self, clip: Clip) -> SideTurn:
        hello = wire.Hello(client="halfsecond bench", credit=200)
        async with Client(self.address, hello=hello) as client:
            visitor = Visitor(client)
            await asyncio.sleep(SETTLE_S)
            saying = asyncio.create_task(visitor.say(audio.load(clip.path).samples))
            await _until_said(visitor.recorder, saying)
            if not saying.done():
                await client.interrupt()
            exchange = await saying
            await visitor.close()
        return our_turn(clip, exchange)


async def _until_said(recorder: Recorder, saying: asyncio.Task[Exchange]) -> None:
    """Returns once the answer is there, so that nobody waits until it has been played."""
    while not saying.done():
        await asyncio.sleep(LOOK_S)
        if any(is_said(reply, monotonic()) for reply in recorder.replies.values()):
            return


def is_said(reply: Reply, now_s: float) -> bool:
    """Whether all of an answer, and a picture of it, has come by now."""
    is_begun = bool(reply.audio) and reply.first_driven_s() is not None
    return is_begun and reply.end is None and now_s - reply.audio[-1][0] > LULL_S


def our_turn(clip: Clip, exchange: Exchange) -> SideTurn:
    """The figures of an exchange with our server."""
    turn = timeline_of(clip, exchange).relative()
    marks, reply = turn.marks, exchange.reply
    frame_s = marks.get("first_frame_seen")
    began_s = recognition_start_s(turn.spans)
    return SideTurn(
        clip=clip.file,
        first_audio_ms=_ms(marks.get("first_audio_heard")),
        first_frame_ms=_ms(frame_s),
        wait_ms=_ms(marks.get("endpoint")),
        work_ms=None if frame_s is None or began_s is None else _ms(frame_s - began_s),
        heard=reply.transcript,
        answer=reply.text,
        cut_ins=len(exchange.cut_ins),
    )


def recognition_start_s(spans: Sequence[Span]) -> float | None:
    """When the last recognition before the language model began, but not before the last sample.

    Recognition that ran while the visitor spoke does not shorten what is counted as work.
    """
    thinking_s = min((s.start_s for s in spans if s.stage == "llm"), default=float("inf"))
    starts = [s.start_s for s in spans if s.stage == "asr" and s.start_s <= thinking_s]
    return max(0.0, *starts) if starts else None


@dataclass
class SequentialSide:
    """The sequential recipe with an ideal end of turn: it is handed the recording up to there."""

    recipe: SequentialRecipe[Any]
    played: list[Played] = field(default_factory=list[Played])

    async def turn(self, clip: Clip) -> SideTurn:
        samples = until_endpoint(audio.load(clip.path).samples, clip)
        played = await asyncio.to_thread(self.recipe.answer, samples)
        self.played.append(played)
        wait_ms = 1000 * PAUSE_THRESHOLD_S
        ready_ms = round(wait_ms + played.work_ms, 2)
        return SideTurn(
            clip=clip.file,
            first_audio_ms=ready_ms,
            first_frame_ms=ready_ms,
            wait_ms=wait_ms,
            work_ms=round(played.work_ms, 2),
            heard=played.heard,
            answer=played.answer,
        )


def until_endpoint(samples: NDArray[np.float32], clip: Clip) -> NDArray[np.float32]:
    """The recording up to `PAUSE_THRESHOLD_S` after its last speech, room tone at the end."""
    length = round((clip.last_speech_s + PAUSE_THRESHOLD_S) * RATE_HZ)
    return np.pad(samples[:length], (0, max(0, length - len(samples))))


@dataclass(frozen=True)
class PipecatSide:
    """A running `pipecat_voice.PipecatVoice`."""

    voice: Any

    async def turn(self, clip: Clip) -> SideTurn:
        turn = await self.voice.ask(audio.load(clip.path).samples)
        last_s = turn.spoken_from_s + clip.last_speech_s
        return SideTurn(
            clip=clip.file,
            first_audio_ms=_since(last_s, turn.first_audible_s),
            wait_ms=_since(last_s, turn.endpoints_s[-1] if turn.endpoints_s else None),
            heard=turn.heard,
            answer=turn.answer,
            cut_ins=sum(at_s < last_s for at_s in turn.endpoints_s),
            is_held=turn.is_held,
        )


async def alternate(
    sides: dict[str, Side],
    clips: Sequence[Clip],
    *,
    turns: int,
    progress: Callable[[int], None] | None = None,
) -> dict[str, list[SideTurn]]:
    """`turns` turns of every side after one to warm up: each recording meets all sides before the
    next one comes, in an order that moves on by one.

    progress: called after each recording with how many were asked.
    """
    names = list(sides)
    taken: dict[str, list[SideTurn]] = {name: [] for name in names}
    for number in range(-1, turns):
        clip = clips[number % len(clips)]
        first = number % len(names)
        for name in names[first:] + names[:first]:
            turn = await sides[name].turn(clip)
            if number >= 0:
                taken[name].append(turn)
        if progress is not None:
            progress(number + 1)
    return taken


def _since(origin_s: float, at_s: float | None) -> float | None:
    return None if at_s is None else _ms(at_s - origin_s)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(1000 * seconds, 2)
