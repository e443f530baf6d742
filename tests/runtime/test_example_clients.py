"""docs/clients: each program asks a live server, and writes down what it was answered."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from fakes import wire_page
from fakes.engines import CLAUSE_S
from fakes.servers import Running, RunServer

CLIENTS = Path(__file__).parents[2] / "docs" / "clients"
NAMES = ("ask.py", "ask_asyncio.py", "ask.cpp", "ask.mjs")
ANSWER = ["We close at five.", "Come again tomorrow."]


@pytest.fixture(scope="module")
def cpp_program(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The C++ client, compiled as its first lines say."""
    compiler = shutil.which("g++")
    if compiler is None or not Path("/usr/include/zmq.hpp").is_file():
        pytest.skip("apt install g++ libzmq3-dev cppzmq-dev libmsgpack-cxx-dev")
    program = tmp_path_factory.mktemp("cpp") / "ask"
    source = CLIENTS / "cpp" / "ask.cpp"
    (command,) = re.findall(r"^//   g\+\+ (.+)$", source.read_text(), re.M)
    flags = [flag for flag in command.replace("-O1", "-O0").split() if flag.startswith("-")]
    subprocess.run(
        [compiler, *flags[:-2], "-Wall", "-Wextra", str(source), "-lzmq", "-o", str(program)],
        check=True,
    )
    return [str(program)]


@pytest.fixture(scope="module")
def node_program(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The Node client beside what its lock names."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("apt install nodejs npm")
    folder = tmp_path_factory.mktemp("node")
    for name in ("ask.mjs", "package.json", "package-lock.json"):
        shutil.copy(CLIENTS / "node" / name, folder)
    subprocess.run(
        [npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=folder, check=True
    )
    return [node, str(folder / "ask.mjs")]


@pytest.fixture(params=NAMES)
def program(request: pytest.FixtureRequest) -> list[str]:
    """How one of the clients is started."""
    name = str(request.param)
    if name == "ask.cpp":
        return list(request.getfixturevalue("cpp_program"))
    if name == "ask.mjs":
        return list(request.getfixturevalue("node_program"))
    return [sys.executable, str(CLIENTS / "python" / name)]


async def run(program: list[str], *arguments: str, folder: Path) -> tuple[int, list[str]]:
    """Its exit code and the lines that it printed."""
    process = await asyncio.create_subprocess_exec(
        *program,
        *arguments,
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, output.decode().splitlines()


def assert_answer_was_printed(lines: list[str]) -> None:
    """Clause by clause; the page says that spaces at the ends of one mean nothing."""
    assert [line.split() for line in lines] == [f"answer: {clause}".split() for clause in ANSWER]


def assert_answer_was_written(folder: Path) -> None:
    """The fake voice's tone, sample for sample, and one picture for each 40 ms of it."""
    with wave.open(str(folder / "answer.wav")) as wav:
        assert (wav.getframerate(), wav.getnchannels(), wav.getsampwidth()) == (24_000, 1, 2)
        samples = np.frombuffer(wav.readframes(wav.getnframes()), "<i2") / 32768
    clause = 0.3 * np.sin(2 * np.pi * 220 * np.arange(int(CLAUSE_S * 24_000)) / 24_000)
    np.testing.assert_allclose(samples, np.tile(clause, len(ANSWER)), atol=2 / 32768)
    pictures = sorted(path.name for path in folder.glob("*.jpg"))
    assert pictures == [f"{n:03d}.jpg" for n in range(int(len(ANSWER) * CLAUSE_S * 25))]
    assert all((folder / name).read_bytes().startswith(b"\xff\xd8") for name in pictures)


def count_pictures(folder: Path) -> int:
    return len(list(folder.glob("*.jpg")))


async def until_all_have_left(running: Running) -> None:
    while running.server.session_count:  # noqa: ASYNC110  (it tells nobody)
        await asyncio.sleep(0.01)


def write_question(path: Path, *, rate_hz: int) -> None:
    """0.6 s of a loud tone in two channels, then 0.1 s of silence."""
    at_s = np.arange(int(0.6 * rate_hz)) / rate_hz
    tone = (0.4 * 32767 * np.sin(2 * np.pi * 300 * at_s)).astype("<i2")
    tone = np.concatenate([tone, np.zeros(rate_hz // 10, "<i2")])
    with wave.open(str(path), "wb") as wav:
        wav.setparams((2, 2, rate_hz, 0, "NONE", ""))
        wav.writeframes(np.stack([tone, tone], axis=1).tobytes())


async def test_a_recorded_question_is_heard_whole_and_its_answer_written_down(
    program: list[str], run_server: RunServer, tmp_path: Path
) -> None:
    write_question(tmp_path / "question.wav", rate_hz=44_100)
    async with run_server() as running:
        code, lines = await run(program, running.address, "question.wav", folder=tmp_path)
        assert code == 0, lines
        heard = running.engines.asr.requests[-1].samples
    loud = np.flatnonzero(np.abs(heard) > 0.1) / 16_000
    assert loud[-1] - loud[0] == pytest.approx(0.6, abs=0.02)
    assert lines[0] == "transcript: When do you close?"
    assert_answer_was_printed(lines[1:])
    assert_answer_was_written(tmp_path)


async def test_a_typed_question_gets_an_answer_longer_than_the_first_credit_reaches(
    program: list[str], run_server: RunServer, tmp_path: Path
) -> None:
    question = "Wann schließen Sie, 几点关门?"
    async with run_server() as running:
        running.engines.llm.pieces = (" Here is one.", " Here is one more.", " And done.")
        code, lines = await run(program, running.address, question, folder=tmp_path)
        assert code == 0, lines
        asked = running.engines.llm.requests[-1].messages[-1].content
        await asyncio.wait_for(until_all_have_left(running), 1)  # sooner than silence would do it
    assert asked == question
    assert " ".join(lines).split() == [
        *("answer:", "Here", "is", "one."),
        *("answer:", "Here", "is", "one", "more."),
        *("answer:", "And", "done."),
    ]
    pictures = int(3 * CLAUSE_S * 25)
    assert pictures > 25, "or credit would not have to be granted again"
    assert count_pictures(tmp_path) == pictures


async def test_a_client_that_is_turned_away_says_why(
    program: list[str], run_server: RunServer, tmp_path: Path
) -> None:
    async with run_server() as running, running.client(), running.client():
        code, lines = await run(program, running.address, "Hello?", folder=tmp_path)
    assert code == 1
    assert "busy" in "".join(lines)


def test_the_page_shows_the_blocking_client_as_it_is() -> None:
    assert (CLIENTS / "python" / "ask.py").read_text() == wire_page.example()


def test_no_client_uses_anything_of_ours() -> None:
    for path in (CLIENTS / "python").glob("*.py"):
        imports = set(re.findall(r"^ *(?:import|from) (\w+)", path.read_text(), re.M))
        assert imports <= {"asyncio", "sys", "time", "wave", "pathlib", "msgpack", "zmq"}, path
