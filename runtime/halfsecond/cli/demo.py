"""`halfsecond demo`: one question over the real wire, one talking face as an MP4."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import soxr
import typer
from rich.console import Console
from rich.table import Table

from halfsecond import film, wire
from halfsecond.assets import asset
from halfsecond.bus.server import Server
from halfsecond.cli.options import ConfigFile, check_folder_of, check_one_question, load_question
from halfsecond.client import Client
from halfsecond.config import Config, load
from halfsecond.conversation import RATE_HZ, Exchange, Visitor
from halfsecond.errors import ServerError
from halfsecond.stages.engines import build_engines, open_store
from halfsecond.stages.openers import open_persona
from halfsecond.timeline import Timeline

REPORTS_GROUP = "halfsecond.reports"
"""Entry points that draw a timeline: callables of (timeline, path without suffix)."""
LEAD_IN_S = 0.6
"""The face at rest before the visitor speaks."""

console = Console(highlight=False)


@dataclass(frozen=True)
class _Result:
    exchange: Exchange
    timeline: Timeline
    mp4: Path


def demo(
    question: Annotated[Path | None, typer.Option(help="Recorded question (any format).")] = None,
    text: Annotated[str | None, typer.Option(help="Typed question instead.")] = None,
    portrait: Annotated[Path | None, typer.Option(help="Picture of the face.")] = None,
    out: Annotated[Path, typer.Option(help="The film.")] = Path("demo.mp4"),
    json: Annotated[
        Path | None, typer.Option(help="The turn's timeline; beside the film by default.")
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Ask a recorded question; leave a film of the answer and a waterfall of its latency."""
    check_one_question(question, text)
    check_folder_of(out)
    settings = _settings(load(config), portrait)
    samples = None if text else load_question(question or asset("question.wav"), console)
    result = asyncio.run(_run(settings, samples, text or "", out))
    timeline_json = json or out.with_suffix(".json")
    result.timeline.write_json(timeline_json)
    drawn = _draw(result.timeline, out.with_suffix(""))
    _report(result, [out, timeline_json, *drawn])


def _settings(config: Config, portrait: Path | None) -> Config:
    if portrait is None:
        return config
    face = msgspec.structs.replace(config.face, portrait=str(portrait.resolve()), avatar="")
    return msgspec.structs.replace(config, face=face)


@contextlib.asynccontextmanager
async def _running_server(config: Config) -> AsyncIterator[str]:
    """A server of this process; gives its address."""
    with tempfile.TemporaryDirectory(prefix="halfsecond-") as folder:
        server = Server(config, build_engines(config, open_store(config)), open_persona(config))
        with console.status("loading models"):
            address = await server.open(f"ipc://{folder}/server.ipc")
        serving = asyncio.create_task(server.serve())
        try:
            yield address
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            await server.close()


async def _run(config: Config, samples: Any, text: str, out: Path) -> _Result:
    async with _running_server(config) as address, Client(address, hello=_hello()) as client:
        visitor = Visitor(client)
        await asyncio.sleep(LEAD_IN_S)
        with console.status("asking"):
            if samples is None:
                exchange = await visitor.type(text)
            else:
                exchange = await visitor.say(samples)
        if not exchange.reply.audio:
            reasons = "; ".join(visitor.recorder.errors) or "nothing was heard in the question"
            raise ServerError(f"there was no answer: {reasons}")
        await asyncio.sleep(LEAD_IN_S)
        await visitor.close()
        spoken = _at_speech_rate(samples)
        cut = film.compose(
            visitor.recorder,
            start_s=exchange.spoken_from_s - LEAD_IN_S,
            question=np.concatenate([np.zeros(int(LEAD_IN_S * 24_000), np.float32), spoken]),
            fps=config.face.fps,
        )
    with console.status("writing the film"):
        film.write_mp4(out, cut)
    return _Result(exchange, exchange.timeline(), out)


def _hello() -> wire.Hello:
    return wire.Hello(client="halfsecond demo", audio_rate_hz=RATE_HZ, credit=200)


def _at_speech_rate(samples: Any) -> Any:
    if samples is None:
        return np.zeros(0, np.float32)
    return soxr.resample(samples, RATE_HZ, 24_000)


def _draw(timeline: Timeline, path: Path) -> list[Path]:
    """The waterfall by whichever report package is installed; none is no failure."""
    drawn: list[Path] = []
    for point in entry_points(group=REPORTS_GROUP):
        try:
            drawn += point.load()(timeline, path)
        except ImportError as error:
            hint = f"no waterfall: {error}; `pip install 'halfsecond[plots]'` brings it"
            console.print(hint, markup=False)
    return drawn


def _report(result: _Result, written: list[Path]) -> None:
    reply, marks = result.exchange.reply, result.timeline.relative().marks
    table = Table(show_header=False, box=None)
    if reply.transcript:
        table.add_row("heard", reply.transcript)
    table.add_row("answered", reply.text)
    for name, label in (
        ("first_audio_heard", "question's end → first audio"),
        ("first_frame_seen", "question's end → first frame"),
    ):
        if name in marks:
            table.add_row(label, f"{1000 * marks[name]:.0f} ms")
    driven = sum(shown.is_driven for shown in reply.pictures)
    table.add_row("pictures", f"{driven} driven, {len(reply.gaps())} gaps in the sound")
    console.print(table)
    for path in written:
        console.print(f"wrote [bold]{path}[/bold]")
