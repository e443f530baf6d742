"""Hundreds of turns in one server, faster than real time: does anything grow, drift or stick?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halfsecond import audio, wire
from halfsecond.client import Client
from halfsecond.errors import ServerError
from halfsecond.recording import Reply
from halfsecond.timeline import Now, monotonic
from halfsecond_bench.av_offset import content_offset, open_meter
from halfsecond_bench.clips import Clip
from halfsecond_bench.fast_visitor import FastVisitor, StuckError
from halfsecond_bench.metrics_page import MetricsPage
from halfsecond_bench.server_process import RunningServer, running_server
from halfsecond_bench.soak_figures import SoakReport, SoakStep, report_of, turn_of
from halfsecond_bench.soak_script import Step

LIMIT_S = 30.0
"""A step that takes longer is stuck. The longest answer takes some 10 s at real-time pace."""
EMPTY_S = 15.0
"""After the last visitor the server must be empty this soon; a client that vanished is noticed
within `server.session_timeout_s`, 10 s."""
SILENCE_S = 20.0
"""How long "silence" is, in the visitor's time."""
MAX_STUCK = 5
"""More, and the run ends: something is broken."""

Progress = Callable[[int], None]
"""Told how many steps are done."""


async def measure(
    script: Sequence[Step],
    *,
    noise: Clip,
    pace: float,
    seed: int,
    config_toml: str,
    metrics_port: int,
    face_models: Path,
    profile: str,
    threads: dict[str, int],
    progress: Progress | None = None,
) -> SoakReport:
    """Performs the script with a server of its own.

    noise: what is heard in a step of "silence", before the silence.

    Raises:
        ServerError: the server did not start, or is gone.
    """
    async with running_server(config_toml) as server:
        cpu_s, began_s = server.cpu_s(), monotonic()
        soak = Soak(
            server,
            MetricsPage(metrics_port),
            pace=pace,
            noise=audio.load(noise.path).samples,
            face_models=face_models,
        )
        await soak.run(script, progress)
        took_s = monotonic() - began_s
        return report_of(
            soak.steps,
            profile=profile,
            threads=threads,
            pace=pace,
            seed=seed,
            took_s=took_s,
            server_cores=(server.cpu_s() - cpu_s) / took_s,
            rss_peak_mb=server.peak_rss_mb(),
            faults=server.faults,
            left=soak.left,
        )


@dataclass
class Soak:
    """Runs steps against a server, one visitor after another. `run` once."""

    server: RunningServer
    metrics: MetricsPage
    pace: float
    noise: NDArray[np.float32]
    """(n,) what is heard in a step of "silence", besides silence: a room."""
    face_models: Path
    now: Now = monotonic
    steps: list[SoakStep] = field(default_factory=list)
    left: dict[str, float] = field(default_factory=dict)
    """What the server still held after everybody had left."""
    _sounds: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    async def run(self, script: Sequence[Step], progress: Progress | None = None) -> None:
        """Does every step; ends early when too many were stuck."""
        await self._enter()
        try:
            for step in script:
                self.steps.append(await self._perform(step))
                if progress is not None:
                    progress(len(self.steps))
                if sum(bool(done.stuck) for done in self.steps) > MAX_STUCK:
                    break
        finally:
            await self._leave()
        await self._wait_until_empty()

    # Coming and going.

    async def _enter(self) -> None:
        hello = wire.Hello(client="halfsecond bench soak", credit=200)
        self._client = Client(self.server.address, hello=hello)
        await self._client.open()
        self._visitor = FastVisitor(self._client, pace=self.pace, now=self.now)

    async def _leave(self, *, is_rude: bool = False) -> None:
        await self._visitor.close()
        await (self._client.vanish() if is_rude else self._client.close())

    async def _wait_until_empty(self) -> None:
        give_up_s = self.now() + EMPTY_S
        while True:
            page = await asyncio.to_thread(self.metrics.read)
            self.left = {"sessions": page.get("sessions", 0.0), "queued": _queued(page)}
            if not any(self.left.values()) or self.now() > give_up_s:
                return
            await asyncio.sleep(0.2)

    # Steps.

    async def _perform(self, step: Step) -> SoakStep:
        started_s, stuck, client, visitor = self.now(), "", self._client, self._visitor
        pace = 1.0 if step.is_measured else self.pace
        visitor.set_pace(pace)
        stale_before = client.stale_count
        try:
            await _ACTIONS[step.kind](self, step)
        except (StuckError, ServerError) as error:
            stuck = str(error)
            await self._leave(is_rude=True)
            await self._enter()
        errors, visitor.recorder.errors = visitor.recorder.errors, []
        ended = visitor.take_ended()
        measured = await self._measure(step, visitor, ended) if step.is_measured else {}
        return await self._record(
            step,
            took_s=round(self.now() - started_s, 3),
            pace=pace,
            turns=[turn_of(reply, gaps) for reply, gaps in ended],
            stale=client.stale_count - stale_before,
            errors=errors,
            stuck=stuck,
            **measured,
        )

    async def _record(self, step: Step, **found: object) -> SoakStep:
        server = self.server
        threads = server.threads()  # before the page is read, which takes one
        page = await asyncio.to_thread(self.metrics.read)
        return SoakStep(
            kind=step.kind,
            rss_mb=round(server.rss_mb(), 1),
            threads=threads,
            open_files=server.open_files(),
            sessions=int(page.get("sessions", 0)),
            queued=int(_queued(page)),
            prompt_cache_tokens=int(page.get("prompt_cache_tokens", 0)),
            **found,  # type: ignore[arg-type]
        )

    async def _measure(
        self, step: Step, visitor: FastVisitor, ended: Sequence[tuple[Reply, int]]
    ) -> dict[str, float]:
        """The wait for sound and the A/V offset, as far as there are any."""
        if not ended:
            return {}
        reply, found = ended[-1][0], {}
        if (heard_s := reply.first_audible_s()) is not None:
            over_s = visitor.microphone.spoken_from_s + step.question.last_speech_s
            found["voice_to_first_audio_ms"] = round(1000 * (heard_s - over_s), 1)
        meter = open_meter(self.face_models)
        offset = await asyncio.to_thread(content_offset, reply, meter)
        if offset is not None:
            found["av_offset_ms"] = round(1000 * offset.offset_s, 1)
        return found

    async def _ask(self, step: Step) -> None:
        self._say(step.question)
        await self._visitor.until_quiet(limit_s=LIMIT_S)

    async def _type(self, step: Step) -> None:
        await self._visitor.type(step.question.transcript)
        await self._visitor.until_quiet(limit_s=LIMIT_S)

    async def _interrupt(self, step: Step) -> None:
        await self._begin(step)
        await self._visitor.interrupt()
        await self._visitor.until_quiet(limit_s=LIMIT_S)

    async def _speak_over(self, step: Step) -> None:
        await self._begin(step)
        self._say(step.other)
        await self._visitor.until_quiet(limit_s=LIMIT_S)

    async def _type_over(self, step: Step) -> None:
        await self._begin(step)
        await self._visitor.type(step.other.transcript)
        await self._visitor.until_quiet(limit_s=LIMIT_S)

    async def _cough(self, step: Step) -> None:
        await self._begin(step)
        self._visitor.microphone.say(self._load(step.sound))
        await self._visitor.until_quiet(limit_s=LIMIT_S)

    async def _silence(self, step: Step) -> None:
        self._visitor.microphone.say(self.noise)
        await self._visitor.until_silent(SILENCE_S)
        await self._ask(step)

    async def _go(self, step: Step) -> None:
        await self._type(step)
        await self._leave()
        await self._enter()

    async def _vanish(self, step: Step) -> None:
        await self._begin(step)
        await self._leave(is_rude=True)
        await self._enter()

    async def _begin(self, step: Step) -> None:
        self._say(step.question)
        await self._visitor.until_heard(step.after_s, limit_s=LIMIT_S)

    def _say(self, clip: Clip) -> None:
        self._visitor.say(self._load(clip))

    def _load(self, clip: Clip) -> NDArray[np.float32]:
        if clip.file not in self._sounds:
            self._sounds[clip.file] = audio.load(clip.path).samples
        return self._sounds[clip.file]


_ACTIONS = {
    "ask": Soak._ask,
    "type": Soak._type,
    "interrupt": Soak._interrupt,
    "speak_over": Soak._speak_over,
    "type_over": Soak._type_over,
    "cough": Soak._cough,
    "silence": Soak._silence,
    "leave": Soak._go,
    "vanish": Soak._vanish,
}


def _queued(page: dict[str, float]) -> float:
    return sum(value for name, value in page.items() if name.startswith("stage_queued{"))
