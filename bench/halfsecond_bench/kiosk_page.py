"""What a visitor of the kiosk page waits: a real Chromium, with recorded questions as its
microphone, against a client of the wire that asked the same server the same questions before."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from halfsecond import audio, wire
from halfsecond.client import Client
from halfsecond.conversation import Visitor
from halfsecond.errors import ServerError
from halfsecond_bench.chromium import Page, require_chromium, running_chromium
from halfsecond_bench.clips import RATE_HZ, Clip
from halfsecond_bench.latency import BETWEEN_TURNS_S, timeline_of
from halfsecond_bench.server_process import running_server
from halfsecond_bench.statistics import Distribution, device, distribution, versions

LEAD_S = 8.0
"""Silence before the first question: the page opens microphone and loudspeaker meanwhile."""
GAP_S = 7.0
"""After each question: longer than its answer."""
BLOCK_S = 0.02
READY_LIMIT_S = 30.0

_WATCH = """(() => {
  globalThis.bench = { heard: [], turns: [] };
  const hear = kiosk.hear.bind(kiosk);
  kiosk.hear = (pcm, rms) => { bench.heard.push([performance.now() / 1000, rms]); hear(pcm, rms); };
  const report = kiosk.report.bind(kiosk);
  kiosk.report = (turn) => { report(turn); bench.turns.push(kiosk.reported); };
  return true;
})()"""
_TAKE = """({
  heard: bench.heard.map(([at, rms]) => [kiosk.link.serverS(at), rms]),
  turns: bench.turns.filter(Boolean),
})"""


class PageTurn(msgspec.Struct, frozen=True, kw_only=True):
    """One question, in milliseconds after its labelled last speech sample."""

    clip: str
    first_audio_ms: float | None
    """The first sound above −45 dBFS leaves the loudspeaker, by the browser's output clock."""
    first_frame_ms: float | None
    """The first picture whose mouth moves was drawn."""
    av_offset_ms: float | None
    """Median over the answer's pictures: loudspeaker minus picture."""
    av_offset_p95_ms: float | None
    underruns: float | None
    output_latency_ms: float | None


class PageReport(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="page"):
    """The result of `bench page`."""

    turns: int
    profile: str
    device: str
    versions: dict[str, str]
    page_first_audio_ms: Distribution
    page_first_frame_ms: Distribution
    wire_first_audio_ms: Distribution
    """The same questions to the same server by a client of the wire, before the page."""
    wire_first_frame_ms: Distribution
    added_audio_ms: float
    """Difference of the medians: capture in blocks, gateway, jitter buffer and output device."""
    added_frame_ms: float
    av_offset_ms: Distribution
    """Of absolute medians per answer."""
    av_offset_p95_ms: Distribution
    underruns: int
    per_turn: list[PageTurn]


async def measure(
    clips: Sequence[Clip],
    *,
    turns: int,
    config_toml: str,
    profile: str,
    progress: Callable[[], None] | None = None,
) -> PageReport:
    """Asks `turns` questions by the wire, and then the same ones through the page.

    Raises:
        ServerError: the server, the gateway or the browser did not start, or a turn did not end.
    """
    require_chromium()  # now, and not after minutes of questions by the wire
    asked = [clips[number % len(clips)] for number in range(turns)]
    tell = progress or (lambda: None)
    async with running_server(config_toml) as server:
        by_wire = await _ask_by_wire(server.address, asked, tell)
        async with running_gateway(server.address) as url:
            heard, reported, script = await _ask_by_page(url, asked, tell)
    per_turn = page_turns(asked, script=script, heard=heard, reported=reported)
    return _report(per_turn, by_wire, profile=profile)


async def _ask_by_wire(
    address: str, clips: Sequence[Clip], tell: Callable[[], None]
) -> list[dict[str, float]]:
    marks: list[dict[str, float]] = []
    async with Client(address, hello=wire.Hello(client="halfsecond bench", credit=200)) as client:
        visitor = Visitor(client)
        for clip in (clips[0], *clips):  # the first one pays for what is loaded lazily
            exchange = await visitor.say(audio.load(clip.path).samples)
            marks.append(timeline_of(clip, exchange).relative().marks)
            tell()
            await asyncio.sleep(BETWEEN_TURNS_S)
        await visitor.close()
    return marks[1:]


@contextlib.asynccontextmanager
async def running_gateway(address: str) -> AsyncIterator[str]:
    """`halfsecond gateway` before the server at that address; the kiosk page's URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "halfsecond", "gateway", "--connect", address, "--port", str(port),
        stderr=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}/"
    try:
        await _until_served(url, process)
        yield url
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _until_served(url: str, process: asyncio.subprocess.Process) -> None:
    for _ in range(int(READY_LIMIT_S / 0.1)):
        if process.returncode is not None:
            raise ServerError(f"the gateway ended with {process.returncode}")
        if await asyncio.to_thread(_is_served, url):
            return
        await asyncio.sleep(0.1)
    raise ServerError(f"the gateway was not ready within {READY_LIMIT_S:g} s")


def _is_served(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310  this machine's
            return True
    except (urllib.error.URLError, OSError):
        return False


async def _ask_by_page(
    url: str, clips: Sequence[Clip], tell: Callable[[], None]
) -> tuple[NDArray[np.float64], list[dict[str, Any]], NDArray[np.float32]]:
    """((n, 2) when blocks came and how loud they were, what the page reported, the script)."""
    script = script_of(clips)
    with TemporaryDirectory(prefix="halfsecond-page-") as folder:
        recording = Path(folder) / "questions.wav"
        audio.save_wav(recording, script, rate_hz=RATE_HZ)
        async with running_chromium(microphone=recording) as page:
            await page.go(url)
            await page.until("globalThis.kiosk?.microphone")
            await page.value(_WATCH)
            await _wait(page, len(script) / RATE_HZ, len(clips), tell)
            found = await page.value(_TAKE)
    return np.array(found["heard"]), found["turns"], script


async def _wait(page: Page, script_s: float, turns: int, tell: Callable[[], None]) -> None:
    """Until all turns were reported, or the script is over."""
    told = 0
    for _ in range(int(script_s + GAP_S)):
        await asyncio.sleep(1.0)
        done = int(await page.value("bench.turns.length"))
        for _ in range(told, done):
            tell()
        told = done
        if told >= turns:
            return


def script_of(clips: Sequence[Clip]) -> NDArray[np.float32]:
    """(n,) 16 kHz: silence, and the questions with silence after each."""
    gap = np.zeros(int(GAP_S * RATE_HZ), np.float32)
    pieces = [np.zeros(int(LEAD_S * RATE_HZ), np.float32)]
    for clip in clips:
        pieces += [audio.load(clip.path).samples, gap]
    return np.concatenate(pieces)


def last_speech_s(clips: Sequence[Clip]) -> list[float]:
    """Where the labelled last speech samples lie in the script."""
    at_s, found = LEAD_S, []
    for clip in clips:
        found.append(at_s + clip.last_speech_s)
        at_s += len(audio.load(clip.path).samples) / RATE_HZ + GAP_S
    return found


def script_start_s(script: NDArray[np.float32], heard: NDArray[np.float64]) -> float:
    """When the script's first sample came to the page, by the loudness of what came.

    heard: (n, 2) seconds and RMS of the page's blocks of 20 ms. Good to half a block.
    """
    size = int(BLOCK_S * RATE_HZ)
    whole = script[: len(script) // size * size].reshape(-1, size)
    said = np.sqrt((whole.astype(np.float64) ** 2).mean(axis=1))
    said, came = said - said.mean(), heard[:, 1] - heard[:, 1].mean()
    n = len(said) + len(came)
    spectrum = np.fft.rfft(came, n) * np.conj(np.fft.rfft(said, n))
    lag = int(np.argmax(np.fft.irfft(spectrum, n)))
    lag = lag - n if lag > n // 2 else lag
    # A block comes when its last sample was heard; the median is deaf to late ones.
    first_s = float(np.median(heard[:, 0] - BLOCK_S * np.arange(len(heard)))) - BLOCK_S
    return first_s + lag * BLOCK_S


def page_turns(
    clips: Sequence[Clip],
    *,
    script: NDArray[np.float32],
    heard: NDArray[np.float64],
    reported: Sequence[dict[str, Any]],
) -> list[PageTurn]:
    """The page's report that belongs to each question; a question without one has none."""
    start_s = script_start_s(script, heard)
    ends_s = [start_s + at_s for at_s in last_speech_s(clips)]
    turns = []
    for clip, end_s, next_s in zip(clips, ends_s, [*ends_s[1:], float("inf")], strict=True):
        own = [t for t in reported if end_s <= t["stamps"].get("page_first_audio", 0) < next_s]
        stamps, values = (own[0]["stamps"], own[0]["values"]) if own else ({}, {})
        turns.append(
            PageTurn(
                clip=clip.file,
                first_audio_ms=_after_ms(stamps.get("page_first_audio"), end_s),
                first_frame_ms=_after_ms(stamps.get("page_first_frame"), end_s),
                av_offset_ms=values.get("av_offset_ms"),
                av_offset_p95_ms=values.get("av_offset_p95_ms"),
                underruns=values.get("underruns"),
                output_latency_ms=values.get("output_latency_ms"),
            )
        )
    return turns


def _after_ms(at_s: float | None, end_s: float) -> float | None:
    return None if at_s is None else round(1000 * (at_s - end_s), 1)


def _report(
    per_turn: list[PageTurn], by_wire: list[dict[str, float]], *, profile: str
) -> PageReport:
    def of_wire(mark: str) -> Distribution:
        return distribution([1000 * marks[mark] for marks in by_wire if mark in marks])

    page_audio = distribution([turn.first_audio_ms for turn in per_turn])
    page_frame = distribution([turn.first_frame_ms for turn in per_turn])
    wire_audio, wire_frame = of_wire("first_audio_heard"), of_wire("first_frame_seen")
    offsets = [turn.av_offset_ms for turn in per_turn]
    return PageReport(
        turns=len(per_turn),
        profile=profile,
        device=device(),
        versions=versions(),
        page_first_audio_ms=page_audio,
        page_first_frame_ms=page_frame,
        wire_first_audio_ms=wire_audio,
        wire_first_frame_ms=wire_frame,
        added_audio_ms=round(page_audio.p50 - wire_audio.p50, 1),
        added_frame_ms=round(page_frame.p50 - wire_frame.p50, 1),
        av_offset_ms=distribution([None if o is None else abs(o) for o in offsets]),
        av_offset_p95_ms=distribution([turn.av_offset_p95_ms for turn in per_turn]),
        underruns=int(max((turn.underruns or 0 for turn in per_turn), default=0)),
        per_turn=per_turn,
    )
