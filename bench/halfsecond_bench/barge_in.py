"""Sounds over an answer: how soon it pauses, how soon it is dropped, and what must not stop it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
from numpy.typing import NDArray

from halfsecond import audio, wire
from halfsecond.client import Client, Disconnected, Received
from halfsecond.errors import AudioError, ServerError
from halfsecond.timeline import monotonic
from halfsecond_bench.clips import Clip
from halfsecond_bench.label import first_speech_sample
from halfsecond_bench.open_microphone import OpenMicrophone
from halfsecond_bench.statistics import Distribution, distribution, wilson_interval

RATE_HZ = 16_000
LONG_QUESTION = "Where is the moon rock?"
"""The demonstration's longest answer, some 5 s: what is said over it ends before it does."""
FROM_S, TO_S = 0.3, 0.9
"""The sound begins this long after the answer, drawn anew for each."""
RESUME_LIMIT_S = 0.6
"""Design: a false alarm that resumed within this is no failure."""
JUDGED_S = 2.5
"""Nothing is decided later than this after a sound's onset."""
AFTER_S = 1.0
"""The sound's own question is taken within this after its end, and dropped with its answer."""
QUIET_S = 0.3
"""The wire is silent for this long before the next answer is asked for."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One sound over one answer; milliseconds after the sound's labelled onset."""

    clip: str
    kind: str
    pause_ms: float | None
    """To the client holding `pause`; None if the answer was not paused."""
    decision_to_pause_ms: float | None
    abandon_ms: float | None
    """To the decision that the answer is dropped."""
    paused_for_ms: float | None
    """From `pause` to `resume`; None without a resume."""
    audio_after_pause: int
    """Packets of the answer that came while it was to stand still."""


class BargeInReport(msgspec.Struct, frozen=True, kw_only=True):
    """What interruptions and false alarms did."""

    barge_in_pause_ms: Distribution
    decision_to_pause_ms: Distribution
    abandon_ms: Distribution
    missed_interruptions: list[str]
    false_alarm_pause_ms: Distribution
    """How long the answer stood still for a cough, a click or an "mm-hm" that paused it."""
    false_alarms: int
    """Sounds that should not stop an answer, paused or not."""
    answers_abandoned: list[str]
    """Those that did."""
    answers_abandoned_interval: tuple[float, float]
    resumed_late: list[str]
    audio_after_pause: int
    trials: list[Trial]


@dataclass
class Answer:
    """One answer as its pauses and its end came."""

    turn: int
    paused_s: list[float] = field(default_factory=list)
    resumed_s: list[float] = field(default_factory=list)
    late_packets: int = 0
    end: wire.TurnEnd | None = None

    def add(self, event: Received) -> None:
        """Notes a message of this answer's turn."""
        message = event.message
        if isinstance(message, wire.Pause):
            self.paused_s.append(event.at_s)
        elif isinstance(message, wire.Resume):
            self.resumed_s.append(event.at_s)
        elif isinstance(message, wire.Audio):
            self.late_packets += len(self.paused_s) > len(self.resumed_s)
        elif isinstance(message, wire.TurnEnd):
            self.end = message


async def measure(
    client: Client,
    *,
    interruptions: Sequence[Clip],
    others: Sequence[Clip],
    seed: int = 0,
    progress: Callable[[], None] = lambda: None,
) -> BargeInReport:
    """Plays each clip over an answer of its own.

    interruptions: what should stop an answer. others: what should not.
    """
    rng = np.random.default_rng(seed)
    microphone, inbox = OpenMicrophone(client), _Inbox(client)
    trials: list[Trial] = []
    try:
        for clip in (*interruptions, *others):
            wait_s = float(rng.uniform(FROM_S, TO_S))
            trials.append(await _trial(client, microphone, inbox, clip, wait_s))
            progress()
    finally:
        await microphone.close()
        await inbox.close()
    return report(trials, {clip.file for clip in interruptions})


async def _trial(
    client: Client, microphone: OpenMicrophone, inbox: _Inbox, clip: Clip, wait_s: float
) -> Trial:
    await client.ask(LONG_QUESTION)
    answer = await _first_audio(inbox)
    await asyncio.sleep(wait_s)
    samples = audio.load(clip.path).samples
    began_s = await microphone.say(samples)
    onset_s = began_s + _onset(samples) / RATE_HZ
    over_s = began_s + len(samples) / RATE_HZ + AFTER_S
    await _watch(inbox, answer, until_s=max(onset_s + JUDGED_S, over_s))
    await client.interrupt()
    while await inbox.next(timeout_s=QUIET_S) is not None:
        pass
    return figures(clip, onset_s, answer)


def _onset(samples: NDArray[np.float32]) -> int:
    """Where the sound begins; even noise begins with its first sample."""
    try:
        return first_speech_sample(samples)
    except AudioError:
        return 0


class _Inbox:
    """What a client is told and hears, to be waited for with a limit; pictures are left out."""

    def __init__(self, client: Client) -> None:
        self._queue: asyncio.Queue[Received | Disconnected] = asyncio.Queue()
        self._reader = asyncio.create_task(self._read(client))

    async def _read(self, client: Client) -> None:
        async for event in client.events():
            if isinstance(event, Disconnected) or not isinstance(event.message, wire.Video):
                self._queue.put_nowait(event)

    async def next(self, *, timeout_s: float) -> Received | None:
        """The next event; None when none came in time."""
        try:
            event = await asyncio.wait_for(self._queue.get(), max(timeout_s, 0.001))
        except asyncio.TimeoutError:
            return None
        if isinstance(event, Disconnected):
            raise ServerError(event.reason)
        return event

    async def close(self) -> None:
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)


async def _first_audio(inbox: _Inbox) -> Answer:
    asked: int | None = None
    while (event := await inbox.next(timeout_s=10.0)) is not None:
        message = event.message
        if isinstance(message, wire.StateChange) and message.state == "thinking":
            asked = message.turn
        elif isinstance(message, wire.Audio) and message.turn == asked:
            return Answer(message.turn)
    raise ServerError("no answer began within 10 s")


async def _watch(inbox: _Inbox, answer: Answer, *, until_s: float) -> None:
    while (left_s := until_s - monotonic()) > 0:
        event = await inbox.next(timeout_s=left_s)
        if event is not None and event.message.turn == answer.turn:
            answer.add(event)


def figures(clip: Clip, onset_s: float, answer: Answer) -> Trial:
    """What became of the answer, in milliseconds after the onset."""
    end = answer.end
    is_abandoned = end is not None and "interrupted" in end.marks
    decided = [begin_s for stage, _, begin_s, _ in end.spans if stage == "pause"] if end else []
    paused_s = next((at_s for at_s in answer.paused_s), None)
    resumed_s = next((at_s for at_s in answer.resumed_s), None)
    return Trial(
        clip=clip.file,
        kind=clip.kind,
        pause_ms=_ms(paused_s, onset_s),
        decision_to_pause_ms=_ms(paused_s, decided[0]) if decided else None,
        abandon_ms=_ms(end.marks["interrupted"], onset_s) if end and is_abandoned else None,
        paused_for_ms=_ms(resumed_s, paused_s) if paused_s is not None else None,
        audio_after_pause=answer.late_packets,
    )


def _ms(at_s: float | None, since_s: float) -> float | None:
    return None if at_s is None else round(1000 * (at_s - since_s), 1)


def report(trials: Sequence[Trial], interruptions: set[str]) -> BargeInReport:
    """The figures of all trials. No sound stops an answer that had ended before it."""
    meant = [trial for trial in trials if trial.clip in interruptions]
    alarms = [trial for trial in trials if trial.clip not in interruptions]
    abandoned = [trial.clip for trial in alarms if trial.abandon_ms is not None]
    paused_for = [trial.paused_for_ms for trial in alarms]
    return BargeInReport(
        barge_in_pause_ms=distribution([trial.pause_ms for trial in meant]),
        decision_to_pause_ms=distribution([trial.decision_to_pause_ms for trial in trials]),
        abandon_ms=distribution([trial.abandon_ms for trial in meant]),
        missed_interruptions=[trial.clip for trial in meant if trial.abandon_ms is None],
        false_alarm_pause_ms=distribution(paused_for),
        false_alarms=len(alarms),
        answers_abandoned=abandoned,
        answers_abandoned_interval=wilson_interval(len(abandoned), len(alarms)),
        resumed_late=[
            trial.clip
            for trial in alarms
            if trial.pause_ms is not None
            and trial.abandon_ms is None
            and (trial.paused_for_ms is None or trial.paused_for_ms > 1000 * RESUME_LIMIT_S)
        ],
        audio_after_pause=sum(trial.audio_after_pause for trial in trials),
        trials=list(trials),
    )
