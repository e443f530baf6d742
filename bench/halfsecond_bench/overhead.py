"""What the runtime itself takes: the real server and wire, on engines that answer at once."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from halfsecond import wire
from halfsecond.client import Client, Disconnected, Received
from halfsecond.errors import ServerError
from halfsecond.models.vad.segmenter import SegmenterConfig
from halfsecond.stages.listening import WINDOW_SAMPLES
from halfsecond.timeline import monotonic
from halfsecond_bench.open_microphone import RATE_HZ, OpenMicrophone
from halfsecond_bench.server_process import RunningServer, running_server
from halfsecond_bench.statistics import Distribution, device, distribution, versions

PROGRAM = ("halfsecond_bench.instant_server",)
SILENCE_S = 0.3
"""Mode "silence": the end of a turn is a place in the audio, known beforehand."""
QUESTION_S = 0.6
LEVEL = 0.2
IDLE_S = 10.0
BETWEEN_TURNS_S = 0.2
TURN_LIMIT_S = 20.0
# Without the echo canceller, which is signal processing and no handing over: it keeps back 8 ms of
# sound, so that a turn would be over in another block than the one that is watched.
CONFIG = """
[turn]
is_speculative = {is_speculative}
can_interrupt = false
[endpoint]
mode = "silence"
silence_s = {silence_s}
[echo]
kind = "none"
[log]
format = "json"
"""


class TurnOverhead(msgspec.Struct, frozen=True, kw_only=True):
    """One turn; milliseconds after the block that completed its end was sent."""

    endpoint_ms: float
    """To the server's decision."""
    audio_ms: float
    """To the client holding the first sound."""
    picture_ms: float
    """To the client holding the first driven picture."""
    cores: float | None
    """Processor time of the server per second from the first sound to the end; None if cut."""


class OverheadReport(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="overhead"):
    """The result of `bench overhead`."""

    turns: int
    device: str
    versions: dict[str, str]
    endpoint_ms: Distribution
    audio_ms: Distribution
    """Everything after the end of the turn: nothing was made in secret."""
    picture_ms: Distribution
    revealed_audio_ms: Distribution
    """The answer was made in secret, and only has to be shown."""
    revealed_picture_ms: Distribution
    speaking_cores_percent: Distribution
    """Processor time of the server while it speaks, turn by turn, in hundredths of a core."""
    speaking_core_percent: float
    """The same over all turns."""
    idle_core_percent: float
    """With an open microphone, a resting face, and nobody speaking."""
    per_turn: list[TurnOverhead]
    per_revealed_turn: list[TurnOverhead]


async def measure(*, turns: int, progress: Callable[[], None] = lambda: None) -> OverheadReport:
    """Asks `turns` times for the whole chain after the end of the turn, and as often for an answer
    that is ready by then; nothing else should run meanwhile.

    Raises:
        ServerError: the server did not start, or did not answer.
    """
    whole, idle = await _run(turns, is_speculative=False, progress=progress)
    revealed, _ = await _run(turns, is_speculative=True, progress=progress)
    return report(whole, revealed, idle_cores=idle)


async def _run(
    turns: int, *, is_speculative: bool, progress: Callable[[], None]
) -> tuple[list[TurnOverhead], float]:
    config = CONFIG.format(is_speculative=str(is_speculative).lower(), silence_s=SILENCE_S)
    found: list[TurnOverhead] = []
    async with (
        running_server(config, program=PROGRAM) as server,
        Client(server.address, hello=wire.Hello(client="halfsecond bench", credit=200)) as client,
    ):
        microphone, ear = OpenMicrophone(client), _Ear(client, server)
        try:
            for number in range(-1, turns):  # the first one warms up
                turn = await _ask(microphone, ear, is_whole=not is_speculative)
                if number >= 0:
                    found.append(turn)
                progress()
            idle = 0.0 if is_speculative else await _idle_cores(server)
        finally:
            await microphone.close()
            await ear.close()
    return found, idle


async def _ask(microphone: OpenMicrophone, ear: _Ear, *, is_whole: bool) -> TurnOverhead:
    """One turn; one that is not wanted whole is interrupted once it has begun."""
    answer = ear.await_answer(is_cut=not is_whole)
    question = _question()
    begin = microphone.sample_at(await microphone.say(question))
    try:
        await asyncio.wait_for(answer.ended.wait(), TURN_LIMIT_S)
    except asyncio.TimeoutError as error:
        raise ServerError(f"no answer ended within {TURN_LIMIT_S:g} s") from error
    await asyncio.sleep(BETWEEN_TURNS_S)
    last = completing_sample(begin + len(question), silence_s=SILENCE_S)
    return figures(answer, sent_s=microphone.sent_at_s(last - 1), is_whole=is_whole)


def _question() -> NDArray[np.float32]:
    """(n,) noise whose last sample is as loud as all others."""
    signs = np.random.default_rng(0).choice([-1.0, 1.0], int(QUESTION_S * RATE_HZ))
    return (LEVEL * signs).astype(np.float32)


def completing_sample(end: int, *, silence_s: float) -> int:
    """Just after the sample of the stream with which a turn is over whose loud part ends at `end`.

    The server judges whole windows, and takes what Silero trails behind off the speech.
    """
    window_end = math.ceil(end / WINDOW_SAMPLES) * WINDOW_SAMPLES
    last_speech = window_end - round(SegmenterConfig.lag_s * RATE_HZ)
    silent = last_speech + silence_s * RATE_HZ
    return math.ceil(silent / WINDOW_SAMPLES - 0.01) * WINDOW_SAMPLES


@dataclass
class Answer:
    """One turn as it came; times of the client's clock, which is the server's too."""

    is_cut: bool
    ended: asyncio.Event
    audio_s: float | None = None
    picture_s: float | None = None
    cpu_s: float = 0.0
    end: wire.TurnEnd | None = None
    end_s: float = 0.0


class _Ear:
    """Notes when an answer came and what the server's processes used meanwhile."""

    def __init__(self, client: Client, server: RunningServer) -> None:
        self._client = client
        self._server = server
        self._answer: Answer | None = None
        self._reader = asyncio.create_task(self._read())

    def await_answer(self, *, is_cut: bool) -> Answer:
        """What the next turn fills. is_cut: it is interrupted at its first driven picture."""
        self._answer = Answer(is_cut, asyncio.Event())
        return self._answer

    async def close(self) -> None:
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def _read(self) -> None:
        async for event in self._client.events():
            if isinstance(event, Disconnected):
                raise ServerError(event.reason)
            if self._answer is not None:
                await self._note(self._answer, event)

    async def _note(self, answer: Answer, event: Received) -> None:
        message = event.message
        if isinstance(message, wire.Audio) and answer.audio_s is None:
            answer.audio_s, answer.cpu_s = event.at_s, self._server.cpu_s()
        elif isinstance(message, wire.Video) and message.is_driven and answer.picture_s is None:
            answer.picture_s = event.at_s
            if answer.is_cut:
                await self._client.interrupt()
        elif isinstance(message, wire.TurnEnd):
            answer.end, answer.end_s = message, event.at_s
            answer.cpu_s = self._server.cpu_s() - answer.cpu_s
            answer.ended.set()


def figures(answer: Answer, *, sent_s: float | None, is_whole: bool) -> TurnOverhead:
    """The turn's times after the block that completed its silence.

    Raises:
        ServerError: the turn ended elsewhere than was foreseen, or without sound and pictures.
    """
    end_s = answer.end.marks.get("endpoint") if answer.end else None
    if sent_s is None or end_s is None or answer.audio_s is None or answer.picture_s is None:
        raise ServerError(f"a turn went without an end, sound or pictures: {answer}")
    if end_s < sent_s:
        raise ServerError(
            f"a turn was over {1000 * (sent_s - end_s):.1f} ms before its silence was complete; "
            "`completing_sample` does not follow the server's rule"
        )
    spoke_s = answer.end_s - answer.audio_s
    return TurnOverhead(
        endpoint_ms=_ms(end_s - sent_s),
        audio_ms=_ms(answer.audio_s - sent_s),
        picture_ms=_ms(answer.picture_s - sent_s),
        cores=round(answer.cpu_s / spoke_s, 4) if is_whole else None,
    )


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 3)


async def _idle_cores(server: RunningServer) -> float:
    cpu_s, began_s = server.cpu_s(), monotonic()
    await asyncio.sleep(IDLE_S)
    return (server.cpu_s() - cpu_s) / (monotonic() - began_s)


def report(
    whole: Sequence[TurnOverhead], revealed: Sequence[TurnOverhead], *, idle_cores: float
) -> OverheadReport:
    """The figures of all turns; every answer is as long as the others."""
    percents = [100 * turn.cores for turn in whole if turn.cores is not None]
    return OverheadReport(
        turns=len(whole),
        device=device(),
        versions=versions(),
        endpoint_ms=distribution([turn.endpoint_ms for turn in whole]),
        audio_ms=distribution([turn.audio_ms for turn in whole]),
        picture_ms=distribution([turn.picture_ms for turn in whole]),
        revealed_audio_ms=distribution([turn.audio_ms for turn in revealed]),
        revealed_picture_ms=distribution([turn.picture_ms for turn in revealed]),
        speaking_cores_percent=distribution(percents),
        speaking_core_percent=round(sum(percents) / len(percents), 2) if percents else math.nan,
        idle_core_percent=round(100 * idle_cores, 2),
        per_turn=list(whole),
        per_revealed_turn=list(revealed),
    )
