"""Sound against lips over the real wire: what clients tell, and where an operator finds it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

import msgspec
import pytest
from prometheus_client import start_http_server
from structlog.testing import capture_logs

from fakes.engines import CLAUSE_S
from fakes.gateways import running_gateway
from fakes.servers import QUICK, RunServer
from halfsecond import wire
from halfsecond.client import Client, Received
from halfsecond.config import Config, LogConfig
from halfsecond.gateway.operating import Operator
from halfsecond.gateway.tracks import AnswerSound, FacePictures
from halfsecond.lips_diagnosis import examine_lips
from halfsecond.metrics import METRICS, Metrics
from halfsecond.stages import av_offset
from halfsecond.stages.av_offset import AvOffset

CLAUSES = 10


def value(name: str) -> float:
    return METRICS.registry.get_sample_value(f"halfsecond_{name}") or 0.0


async def test_a_fast_clients_reports_reach_log_and_metrics(
    run_server: RunServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its loudspeaker is 1 % fast, its pictures go by a timer and come 60 ms late at first."""
    # Both have one clock. Guessed, its offset would change in mid-answer on a busy machine.
    monkeypatch.setattr(Client, "_on_clock", lambda self, *_: self._exchanges.append((0.0, 0.0)))
    async with run_server() as running, running.client() as client:
        running.engines.llm.pieces = tuple(f"Sentence number {n} is here. " for n in range(CLAUSES))
        start_s = asyncio.get_running_loop().create_future()

        async def play() -> None:
            began_s = await start_s
            while True:
                now_s = time.monotonic()
                pts_s = 1.01 * (now_s - began_s)
                await client.report_playhead(
                    turn=1, pts_s=pts_s, at_s=now_s, offset_s=0.06 + 0.01 * pts_s, dropped=3
                )
                await asyncio.sleep(0.2)

        playing = asyncio.create_task(play())
        dropped = value("client_dropped_pictures_total")
        with capture_logs() as logs:
            await client.ask("Tell me everything.")
            async for event in client.events():
                message = event.message if isinstance(event, Received) else None
                if isinstance(message, wire.Audio) and not start_s.done():
                    start_s.set_result(time.monotonic())
                if isinstance(message, wire.TurnEnd):
                    break
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)
    (line,) = [entry for entry in logs if entry["event"] == "turn"]
    assert line["av_drift_ms_per_minute"] == pytest.approx(600, rel=0.01)
    assert line["playhead_drift_ms_per_minute"] == pytest.approx(600, rel=0.02)
    assert line["av_offset_ms"] == pytest.approx(60 + 10 * CLAUSES * CLAUSE_S / 2, abs=10)
    (warning,) = [entry for entry in logs if entry["event"] == "the lips are off the sound"]
    assert 60 <= warning["offset_ms"] <= 80
    assert value("client_dropped_pictures_total") == dropped + 3


async def test_a_clock_that_is_out_of_step_is_not_believed(run_server: RunServer) -> None:
    async with run_server() as running, running.client() as client:
        await client.ask("When do you close?")
        async for event in client.events():
            message = event.message if isinstance(event, Received) else None
            if isinstance(message, wire.Audio) and message.seq == 0:
                for at_s in (time.monotonic() + 500.0, time.monotonic() - 500.0, float("nan")):
                    await client.report_playhead(turn=1, pts_s=0.0, at_s=at_s)
            if isinstance(message, wire.TurnEnd):
                assert message.reason == "complete"
                break


async def test_a_browsers_report_goes_through_the_gateway(run_server: RunServer) -> None:
    async with (
        run_server() as server,
        running_gateway(QUICK, server.address, clock=time.time) as gateway,
        gateway.browser() as browser,
    ):
        await browser.say(type="text", text="When do you close?")
        first = await browser.until("state", state="speaking")
        with capture_logs() as logs:
            for number in range(6):
                await browser.say(
                    type="playhead",
                    turn=first["turn"],
                    pts=0.1 * number,
                    at_s=time.monotonic(),
                    offset_s=-0.2,
                )
            await browser.until("turn_end")
    (line,) = [entry for entry in logs if entry["event"] == "turn"]
    assert line["av_offset_ms"] == -200
    assert [e["offset_ms"] for e in logs if e["event"] == "the lips are off the sound"] == [-200]


async def test_the_tracks_of_webrtc_tell_how_late_their_pictures_are() -> None:
    sound = AnswerSound(now=lambda: 0.0)
    pictures = FacePictures(sound, fps=25, taken=lambda _: None, now=lambda: 0.0)
    assert pictures.playhead(behind_s=0.0) is None
    sound.add(wire.Audio(turn=1), bytes(2 * 24_000))
    for _ in range(10):
        sound._block()  # 20 ms each
    rgb = bytes(2 * 2 * 3)
    for number in range(4):  # of 0, 40, 80 and 120 ms come when 200 ms were heard
        header = wire.Video(
            turn=1, pts=number / 25, width=2, height=2, format="rgb", is_driven=True
        )
        pictures.add(header, rgb)
    pictures.due()
    told = pictures.playhead(behind_s=0.1)
    assert told is not None
    assert (told.turn, told.dropped) == (1, 3)
    assert told.pts == pytest.approx(0.1)
    assert told.offset_s == pytest.approx(0.08)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Metrics, Config]]:
    """Metrics of their own on a port of their own."""
    metrics = Metrics()
    monkeypatch.setattr(av_offset, "METRICS", metrics)
    server, thread = start_http_server(0, addr="127.0.0.1", registry=metrics.registry)
    port = int(server.server_address[1])
    yield metrics, msgspec.structs.replace(QUICK, log=LogConfig(metrics_port=port))
    server.shutdown()
    server.server_close()
    assert isinstance(thread, threading.Thread)
    thread.join()


def speak(metrics: Metrics, *, late_s: float) -> None:
    answer = AvOffset("session", 1)
    for number in range(100):
        answer.sent(number / 25, number / 25 + late_s)
    answer.end()
    metrics.turns.labels("complete").inc()


def test_the_doctor_finds_lips_that_run_off_and_those_that_do_not(
    served: tuple[Metrics, Config],
) -> None:
    metrics, config = served
    assert not list(examine_lips(config))  # nobody has spoken
    speak(metrics, late_s=0.0)
    (well,) = examine_lips(config)
    assert (well.subject, well.verdict) == ("lips", "ok")
    assert "+0 ms ahead" in well.found
    speak(metrics, late_s=0.1)
    (ill,) = examine_lips(config)
    assert ill.verdict == "warning"
    assert "+100 ms ahead" in ill.found
    assert "1 of 2 answers" in ill.found
    assert "the lips are off the sound" in ill.remedy


def test_without_a_server_or_its_port_the_doctor_has_nothing_to_say() -> None:
    assert not list(examine_lips(QUICK))
    assert not list(examine_lips(msgspec.structs.replace(QUICK, log=LogConfig(metrics_port=1))))


async def test_the_operator_gets_the_same_figures(served: tuple[Metrics, Config]) -> None:
    metrics, config = served
    speak(metrics, late_s=0.1)
    figures = await Operator(config.gateway).server_figures(config.log.metrics_port)
    assert figures is not None
    assert figures["av_offset_seconds_count sent"] == 100
    assert figures["av_offset_now_seconds"] == pytest.approx(0.1)
    assert figures["lips_off_total"] == 1
    assert figures["turns_total complete"] == 1
