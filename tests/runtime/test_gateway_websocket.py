"""A browser's visit over the WebSocket, before a server on fake engines."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import numpy as np
import pytest

from fakes.engines import CLAUSE_S, FakeEngines
from fakes.gateways import RunningGateway, running_gateway
from fakes.servers import QUICK, Running, RunServer
from halfsecond.config import Config, GatewayConfig, PhrasesConfig, PresetQuestion


@asynccontextmanager
async def opened(
    run_server: RunServer, config: Config = QUICK, engines: FakeEngines | None = None
) -> AsyncIterator[tuple[RunningGateway, Running]]:
    async with (
        run_server(config, engines) as server,
        running_gateway(config, server.address, clock=time.time) as gateway,
    ):
        yield gateway, server


async def test_a_spoken_question_is_answered_in_words_sound_and_pictures(
    run_server: RunServer,
) -> None:
    async with opened(run_server) as (gateway, _), gateway.browser() as browser:
        await browser.speak()
        await browser.until("state", state="idle")
        assert [m["text"] for m in browser.of("transcript")] == ["When do you close?"]
        assert [m["text"].strip() for m in browser.of("answer")] == [
            "We close at five.", "Come again tomorrow.",
        ]  # fmt: skip
        assert len(browser.sound()) == 2 * 2 * int(CLAUSE_S * 24_000)
        driven = [m for m in browser.of("video") if m["is_driven"]]
        assert [m["pts"] for m in driven] == sorted(m["pts"] for m in driven)
        assert len(driven) == 2 * int(CLAUSE_S * 25)
        states = [m["state"] for m in browser.of("state")]
        assert states == ["listening", "thinking", "speaking", "idle"]


async def test_a_typed_question_needs_no_microphone(run_server: RunServer) -> None:
    async with opened(run_server) as (gateway, server), gateway.browser() as browser:
        await browser.say(type="text", text="When do you close?")
        await browser.until("turn_end", reason="complete")
        assert server.engines.llm.requests
        assert not server.engines.asr.requests


async def test_a_touch_on_stop_ends_the_answer_and_history_keeps_what_was_heard(
    run_server: RunServer,
) -> None:
    engines = FakeEngines()
    engines.llm.pieces = ("We close at five.", " Come again tomorrow.", " Bring a friend along.")
    async with opened(run_server, engines=engines) as (gateway, _), gateway.browser() as browser:
        await browser.say(type="text", text="When do you close?")
        first = await browser.until("audio")
        await browser.say(type="playhead", turn=first["turn"], pts=0.5)
        await browser.say(type="interrupt")
        end = await browser.until("turn_end")
        assert end["reason"] == "interrupted"
        await browser.say(type="text", text="And when do you open?")
        await browser.until("turn_end", reason="complete")
        asked = " ".join(m.content for m in engines.llm.requests[-1].messages)
        assert "We close at five." in asked
        assert "Bring a friend along." not in asked


async def test_a_browser_that_grants_no_credit_gets_all_the_sound_and_no_more_pictures(
    run_server: RunServer,
) -> None:
    async with opened(run_server) as (gateway, _), gateway.browser(hello=False) as browser:
        await browser.say(type="hello", audio_rate_hz=48_000, credit=3)
        await browser.until("welcome")
        await browser.say(type="text", text="When do you close?")
        await browser.until("turn_end")
        assert len(browser.of("video")) == 3
        assert len(browser.sound()) == 2 * 2 * int(CLAUSE_S * 24_000)
        await browser.say(type="credit", frames=5)
        for _ in range(5):
            await browser.until("video")


async def test_sound_goes_as_opus_both_ways(run_server: RunServer) -> None:
    import av

    async with opened(run_server) as (gateway, server), gateway.browser(sound="opus") as browser:
        await browser.say(type="text", text="When do you close?")
        await browser.until("turn_end")
        packets = [
            payload
            for message, payload in zip(browser.messages, browser.payloads, strict=True)
            if message["type"] == "audio"
        ]
        heard = decoded(packets)
        assert len(heard) / 48_000 == pytest.approx(2 * CLAUSE_S, abs=0.03)
        tone = np.abs(np.fft.rfft(heard))
        assert np.argmax(tone) / (len(heard) / 48_000) == pytest.approx(220, abs=3)
        encoder = av.CodecContext.create("libopus", "w")
        encoder.sample_rate, encoder.layout, encoder.format = 48_000, "mono", "s16"
        encoder.options = {"frame_duration": "20"}
        for loudness in (*[0.5] * 30, *[0.0] * 40):
            block = loudness * np.sin(2 * np.pi * 440 * np.arange(960) / 48_000)
            frame = av.AudioFrame.from_ndarray(
                (block * 32767).astype(np.int16)[None, :], format="s16", layout="mono"
            )
            frame.sample_rate = 48_000
            for packet in encoder.encode(frame):
                await browser.socket.send(bytes(packet))
        await browser.until("transcript")
        assert server.engines.asr.requests


def decoded(packets: list[bytes]) -> np.ndarray:
    import av

    decoder = av.CodecContext.create("libopus", "r")
    decoder.sample_rate, decoder.layout = 48_000, "mono"
    frames = [frame for packet in packets for frame in decoder.decode(av.Packet(packet))]
    return np.concatenate([frame.to_ndarray()[0].astype(np.float64) for frame in frames])


async def test_the_page_is_told_when_the_server_goes_and_gets_a_session_when_it_is_back(
    run_server: RunServer, tmp_path: Path
) -> None:
    address = f"ipc://{tmp_path}/server.ipc"
    async with (
        running_gateway(QUICK, address, clock=time.time) as gateway,
        gateway.browser(hello=False) as browser,
    ):
        await browser.say(type="hello", audio_rate_hz=48_000)
        away = await browser.until("away")
        assert "halfsecond serve" in away["reason"]
        await browser.say(type="text", text="Are you there?")
        await browser.until("error", code="not_open_yet")
        async with run_server():
            await browser.until("welcome")
            await browser.say(type="text", text="When do you close?")
            await browser.until("turn_end", reason="complete")


async def test_a_second_hello_forgets_the_visitor(run_server: RunServer) -> None:
    async with opened(run_server) as (gateway, server), gateway.browser() as browser:
        await browser.say(type="text", text="My name is Nova.")
        await browser.until("turn_end")
        await browser.say(type="hello", audio_rate_hz=48_000)
        await browser.until("welcome")
        await browser.say(type="text", text="What is my name?")
        await browser.until("turn_end")
        assert "Nova" not in str([m.content for m in server.engines.llm.requests[-1].messages])
        assert server.server.session_count == 1


async def test_a_page_that_closes_leaves_no_session_behind(run_server: RunServer) -> None:
    async with opened(run_server) as (gateway, server):
        async with gateway.browser():
            assert server.server.session_count == 1
        for _ in range(500):
            if not server.server.session_count and not gateway.gateway.visits.count:
                return
            await asyncio.sleep(0.01)
        raise AssertionError("the session, or the place, is still taken")


async def test_beyond_the_limit_a_browser_is_told_that_it_is_busy(run_server: RunServer) -> None:
    config = msgspec.structs.replace(QUICK, gateway=GatewayConfig(max_visitors=1))
    async with (
        opened(run_server, config) as (gateway, _),
        gateway.browser(),
        gateway.browser(hello=False) as second,
    ):
        busy = await second.next()
        assert busy["type"] == "busy"
        assert busy["limit"] == 1


async def test_what_a_page_measures_is_beside_what_the_server_did(run_server: RunServer) -> None:
    async with opened(run_server) as (gateway, _), gateway.browser() as browser:
        await browser.speak()
        end = await browser.until("turn_end")
        last_speech_s = end["marks"]["last_speech"]
        await browser.say(
            type="figures", session=end["session"], turn=end["turn"],
            stamps={"page_first_audio": last_speech_s + 0.5}, values={"av_offset_ms": 12.0},
        )  # fmt: skip
        await browser.say(type="clock", client_s=1.0)
        await browser.until("clock", client_s=1.0)
        record = gateway.gateway.visits.turns.turns[-1]
        assert record.stamps == {"page_first_audio": pytest.approx(0.5)}
        assert record.values == {"av_offset_ms": 12.0}
        assert gateway.gateway.visits.turns.waits()["page_first_audio"].p50 == pytest.approx(500)


async def test_preset_questions_come_with_the_welcome(run_server: RunServer) -> None:
    preset = PresetQuestion(question="When do you close?", answer="At five.")
    config = msgspec.structs.replace(QUICK, phrases=PhrasesConfig(presets=(preset,)))
    async with opened(run_server, config) as (gateway, _), gateway.browser() as browser:
        assert browser.of("welcome")[0]["questions"] == ["When do you close?"]
        info = (await gateway.request("GET", "/api/info")).json()
        assert info["questions"] == ["When do you close?"]
        assert info["is_serving"] in (True, False)


async def test_a_header_and_its_payload_can_be_told_apart(run_server: RunServer) -> None:
    async with opened(run_server) as (gateway, _), gateway.browser() as browser:
        await browser.say(type="text", text="When do you close?")
        while True:
            data = await asyncio.wait_for(browser.socket.recv(), 5)
            if isinstance(data, bytes):
                break
        (size,) = struct.unpack_from("<H", data)
        header = msgspec.json.decode(data[2 : 2 + size])
        assert header["type"] in ("audio", "video")
