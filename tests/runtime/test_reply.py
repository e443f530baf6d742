"""Five lines of Python: whole answers, with and without an event loop."""

from __future__ import annotations

import asyncio
import re
import wave
from pathlib import Path

import numpy as np
import pytest

from fakes.engines import CLAUSE_S
from fakes.servers import Running, RunServer
from halfsecond import BlockingClient, Client, HalfsecondError, Reply, audio, wire
from halfsecond.errors import ServerError

README = Path(__file__).parents[2] / "README.md"
ANSWER = "We close at five. Come again tomorrow."


def spoken() -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return (0.4 * np.sin(np.arange(8000) / 8)).astype(np.float32)


def assert_is_whole(reply: Reply) -> None:
    assert reply.text == ANSWER
    assert len(reply.samples()) == int(2 * CLAUSE_S * 24_000)
    assert len(reply.pictures) == int(2 * CLAUSE_S * 25)


async def test_a_typed_question_gets_the_whole_answer(run_server: RunServer) -> None:
    async with run_server() as running, running.client() as client:
        assert_is_whole(await client.reply("When do you close?"))
        asked = running.engines.llm.requests[-1].messages[-1].content
    assert asked == "When do you close?"


async def test_a_spoken_question_is_heard_and_answered(
    run_server: RunServer, tmp_path: Path
) -> None:
    async with run_server() as running, running.client() as client:
        audio.save_wav(tmp_path / "question.wav", spoken())
        reply = await client.reply(tmp_path / "question.wav")
        heard = running.engines.asr.requests[-1].samples
    assert reply.transcript == "When do you close?"
    assert_is_whole(reply)
    assert np.count_nonzero(np.abs(heard) > 0.1) / 16_000 > 0.4


async def test_a_question_that_cuts_an_answer_off_gets_its_own_answer(
    run_server: RunServer,
) -> None:
    async with run_server() as running, running.client() as client:
        running.engines.tts.gate.clear()
        with pytest.raises(ServerError, match="no reply ended"):
            await client.reply("And then?", timeout_s=0.3)
        running.engines.tts.gate.set()
        reply = await client.reply("When do you close?")
    assert reply.end is not None
    assert reply.end.reason == "complete"
    assert_is_whole(reply)


async def test_a_turn_that_failed_is_an_error_with_the_stage_in_it(run_server: RunServer) -> None:
    async with run_server() as running, running.client() as client:
        running.engines.llm.fault = "the model is gone"
        with pytest.raises(HalfsecondError, match="the model is gone"):
            await client.reply("When do you close?")


async def test_a_program_without_an_event_loop_asks_again_and_again(
    run_server: RunServer, tmp_path: Path
) -> None:
    def program(address: str) -> tuple[Reply, Reply]:
        with BlockingClient(address) as client:
            first, second = client.reply("When do you close?"), client.reply("And when today?")
            first.save_sound(tmp_path / "answer.wav")
            return first, second

    async with run_server() as running:
        first, second = await asyncio.to_thread(program, running.address)
        await asyncio.wait_for(until_all_have_left(running), 1)
        history = running.engines.llm.requests[-1].messages
    assert_is_whole(first)
    assert_is_whole(second)
    assert ANSWER in [message.content for message in history], "one session: it is remembered"
    with wave.open(str(tmp_path / "answer.wav")) as wav:
        assert wav.getnframes() == len(first.samples())


async def until_all_have_left(running: Running) -> None:
    while running.server.session_count:  # noqa: ASYNC110  (it tells nobody)
        await asyncio.sleep(0.01)


def test_a_blocking_client_says_that_no_server_is_there(tmp_path: Path) -> None:
    client = BlockingClient(f"ipc://{tmp_path}/none.ipc", timeout_s=0.2)
    with pytest.raises(ServerError, match="start one with `halfsecond serve`"):
        client.open()
    with pytest.raises(ServerError, match="not open"):
        client.reply("Hello?")
    client.close()


async def test_the_programs_of_the_readme_run_as_they_stand(
    run_server: RunServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    programs = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)
    programs = [program for program in programs if "Client(" in program]
    assert len(programs) == 2
    assert any("BlockingClient" in program for program in programs)
    async with run_server() as running:
        for program in programs:
            code = program.replace("ipc:///tmp/halfsecond/server.ipc", running.address)
            code = code.replace('"answer.wav"', repr(str(tmp_path / "answer.wav")))
            await asyncio.to_thread(exec, compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out.count(ANSWER) == 2
    assert (tmp_path / "answer.wav").is_file()


async def test_hello_is_given_by_the_program_that_wants_no_pictures(run_server: RunServer) -> None:
    hello = wire.Hello(client="test", video="none")
    async with run_server() as running, Client(running.address, hello=hello) as client:
        reply = await client.reply("When do you close?")
    assert (reply.text, reply.pictures) == (ANSWER, [])
