"""What an operator sees and does."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import msgspec
import pytest

from fakes.gateways import running_gateway
from fakes.servers import QUICK, RunServer
from halfsecond import wire
from halfsecond.config import GatewayConfig
from halfsecond.errors import ConfigError
from halfsecond.gateway.browser import Figures
from halfsecond.gateway.machine import read_machine
from halfsecond.gateway.operating import LogTail, Operator
from halfsecond.gateway.turn_log import TurnLog


async def test_the_last_turn_and_the_waits_are_shown_without_a_word_of_it(
    run_server: RunServer,
) -> None:
    async with (
        run_server() as server,
        running_gateway(QUICK, server.address, clock=time.time) as gateway,
    ):
        async with gateway.browser() as browser:
            await browser.speak()
            await browser.until("turn_end", reason="complete")
        answered = await gateway.request("GET", "/api/operator")
        figures = answered.json()
        assert figures["waits_ms"]["first_audio_sent"]["n"] == 1
        assert figures["reasons"] == {"complete": 1}
        stages = {span["stage"] for span in figures["last_turn"]["timeline"]["spans"]}
        assert {"asr", "llm", "tts", "lipsync"} <= stages
        assert figures["machine"]["cores"] >= 1
        assert b"close" not in answered.body  # what was asked, and what was answered


def turn_end(turn: int, wait_s: float) -> wire.TurnEnd:
    marks = {"last_speech": 100.0, "first_audio_sent": 100.0 + wait_s}
    spans = [("tts", "We close at five.", 100.0, 100.1)]
    return wire.TurnEnd(session="s", turn=turn, reason="complete", marks=marks, spans=spans)


def test_waits_have_medians_and_tails_of_the_newest_turns() -> None:
    turns = TurnLog()
    for number in range(300):
        turns.note(turn_end(number, wait_s=number / 1000))
    waits = turns.waits()["first_audio_sent"]
    assert waits.n == 200
    assert waits.p50 == pytest.approx(199.5)
    assert waits.p95 == pytest.approx(289.05)
    assert waits.max == pytest.approx(299)


def test_words_are_kept_only_where_transcripts_are_wished_for() -> None:
    silent, talkative = TurnLog(), TurnLog(keeps_words=True)
    for turns in (silent, talkative):
        turns.note(turn_end(1, wait_s=0.3))
    assert silent.turns[0].timeline.spans[0].detail == ""
    assert talkative.turns[0].timeline.spans[0].detail == "We close at five."


def test_figures_of_an_unknown_turn_change_nothing() -> None:
    turns = TurnLog()
    turns.note(turn_end(1, wait_s=0.3))
    turns.note_figures(Figures(session="other", turn=1, stamps={"page_first_audio": 101.0}))
    assert turns.turns[0].stamps == {}


async def test_a_restart_runs_the_command_or_says_why_not(tmp_path: Path) -> None:
    made = tmp_path / "restarted"
    await Operator(GatewayConfig(restart_command=("touch", str(made)))).restart()
    assert made.exists()
    with pytest.raises(ConfigError, match="ended with 1"):
        await Operator(GatewayConfig(restart_command=("false",))).restart()
    with pytest.raises(ConfigError, match="no-such-program: No such file"):
        await Operator(GatewayConfig(restart_command=("no-such-program",))).restart()
    with pytest.raises(ConfigError, match=r"gateway\.restart_command, or start with"):
        await Operator(GatewayConfig()).restart()


def test_the_log_is_the_file_or_this_process_own(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    path.write_text("".join(f"line {number}\n" for number in range(20_000)))
    lines = Operator(GatewayConfig(log_file=str(path))).log_tail()
    assert (len(lines), lines[-1]) == (100, "line 19999")
    missing = Operator(GatewayConfig(log_file=str(tmp_path / "none"))).log_tail()
    assert "cannot be read" in missing[0]
    tail = LogTail()
    tail(None, "info", {"event": "ready", "level": "info", "page": "http://x"})
    assert "ready page=http://x" in Operator(GatewayConfig(), tail=tail).log_tail()[0]


def test_a_board_is_read_from_its_files(tmp_path: Path) -> None:
    proc, sys = tmp_path / "proc", tmp_path / "sys"
    files = {
        proc / "device-tree/model": "NVIDIA Jetson Orin Nano\0",
        proc / "meminfo": "MemTotal: 8000000 kB\nMemAvailable: 2000000 kB\n",
        proc / "asound/cards": " 0 [USB  ]: USB-Audio - Speakerphone\n   at usb-1\n",
        sys / "class/thermal/thermal_zone0/type": "cpu-thermal\n",
        sys / "class/thermal/thermal_zone0/temp": "51500\n",
        sys / "class/thermal/thermal_zone1/temp": "",  # a sensor that is asleep
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    machine = read_machine(proc=proc, sys=sys)
    assert machine.name == "NVIDIA Jetson Orin Nano"
    assert machine.temperatures_c == {"cpu-thermal": 51.5}
    assert machine.memory_available_mb == pytest.approx(2048)
    assert machine.devices == ["USB-Audio - Speakerphone"]


async def test_health_tells_of_a_server_that_is_away(run_server: RunServer, tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/server.ipc"
    async with running_gateway(QUICK, address, clock=time.time) as gateway:
        assert (await gateway.request("GET", "/api/health")).status == 503
        async with run_server():
            for _ in range(300):
                answered = await gateway.request("GET", "/api/health")
                if answered.status == 200:
                    assert msgspec.json.decode(answered.body) == {"is_serving": True}
                    return
                await asyncio.sleep(0.02)
            raise AssertionError("the server was not found")
