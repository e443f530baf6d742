"""docs/wire.md is true: its example runs, its bytes decode, its tables are the code's."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import wave
from pathlib import Path
from typing import Any, get_args

import msgpack  # type: ignore[import-untyped]
import msgspec
import numpy as np
import pytest

from fakes import wire_page
from fakes.engines import CLAUSE_S
from fakes.servers import Running, RunServer
from halfsecond import wire
from halfsecond.bus import connection as connection_module
from halfsecond.bus import server as server_module
from halfsecond.conversation import Visitor
from halfsecond.stages import announcing as announcing_module
from halfsecond.stages import listening as listening_module
from halfsecond.stages import session as session_module

ENVELOPE = {field.name for field in msgspec.structs.fields(wire.Header)}
STRUCTS: dict[str, type[wire.Header]] = {
    kind.__struct_config__.tag: kind
    for union in (wire.ClientMessage, wire.ServerMessage)
    for kind in get_args(union)
}


# The example program.


async def run_example(folder: Path, *arguments: str) -> str:
    """Runs the page's program in `folder`; returns what it printed."""
    program = folder / "ask.py"
    program.write_text(wire_page.example(), encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(program),
        *arguments,
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, output.decode()
    return output.decode()


def assert_answer_was_written(folder: Path, running: Running, *, clauses: int) -> None:
    """The fake voice's tone, whole, and one picture for each 40 ms of it."""
    with wave.open(str(folder / "answer.wav")) as wav:
        assert (wav.getframerate(), wav.getnchannels(), wav.getsampwidth()) == (24_000, 1, 2)
        samples = np.frombuffer(wav.readframes(wav.getnframes()), "<i2") / 32768
    clause = 0.3 * np.sin(2 * np.pi * 220 * np.arange(int(CLAUSE_S * 24_000)) / 24_000)
    np.testing.assert_allclose(samples, np.tile(clause, clauses), atol=2 / 32768)
    pictures = sorted(path.name for path in folder.glob("*.jpg"))
    assert pictures == [f"{number:03d}.jpg" for number in range(int(clauses * CLAUSE_S * 25))]
    assert (folder / "000.jpg").read_bytes().startswith(b"\xff\xd8")


async def test_the_example_asks_in_writing_and_keeps_sound_and_pictures(
    run_server: RunServer, tmp_path: Path
) -> None:
    async with run_server() as running:
        output = await run_example(tmp_path, running.address, "When do you close?")
        asked = running.engines.llm.requests[-1].messages[-1].content
    assert asked == "When do you close?"
    assert output.split("\n")[0] == "answer: We close at five."
    assert_answer_was_written(tmp_path, running, clauses=output.count("answer: "))


async def test_the_example_speaks_a_stereo_recording_and_is_heard_whole(
    run_server: RunServer, tmp_path: Path
) -> None:
    at_s = np.arange(int(0.6 * 44_100)) / 44_100
    tone = (0.4 * 32767 * np.sin(2 * np.pi * 300 * at_s)).astype("<i2")
    with wave.open(str(tmp_path / "question.wav"), "wb") as wav:
        wav.setparams((2, 2, 44_100, 0, "NONE", ""))
        wav.writeframes(np.stack([tone, tone], axis=1).tobytes())
    async with run_server() as running:
        output = await run_example(tmp_path, running.address, "question.wav")
        heard = running.engines.asr.requests[-1].samples
    loud = np.flatnonzero(np.abs(heard) > 0.1) / 16_000
    assert loud[-1] - loud[0] == pytest.approx(0.6, abs=0.02)
    assert output.split("\n")[0] == "transcript: When do you close?"
    assert_answer_was_written(tmp_path, running, clauses=output.count("answer: "))


async def test_the_example_says_that_no_server_is_there(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="no server answers"):
        await run_example(tmp_path, f"ipc://{tmp_path}/none.ipc", "Hello?")


def test_the_example_uses_nothing_of_ours() -> None:
    imports = set(re.findall(r"^(?:import|from) (\w+)", wire_page.example(), re.M))
    assert imports == {"sys", "time", "wave", "pathlib", "msgpack", "zmq"}


# The dumps.


def test_the_page_shows_the_bytes_of_the_most_important_messages() -> None:
    shown = [json.loads(dump.json)["type"] for dump in wire_page.dumps()]
    wanted = {"hello", "audio", "video", "welcome", "state", "turn_end", "credit", "clock", "error"}
    assert wanted <= set(shown)
    assert shown.count("audio") == 2


@pytest.mark.parametrize("dump", wire_page.dumps(), ids=lambda d: json.loads(d.json)["type"])
def test_a_dump_is_the_message_that_the_json_beside_it_says(dump: wire_page.Dump) -> None:
    fields: dict[str, Any] = json.loads(dump.json)
    assert msgpack.unpackb(dump.data) == fields
    message = msgspec.msgpack.decode(dump.data, type=STRUCTS[fields["type"]])
    decoded = json.loads(msgspec.json.encode(message))
    assert {name: decoded[name] for name in fields} == fields
    if set(fields) == set(decoded):
        assert wire.encode(message)[0] == dump.data
    else:
        assert fields["type"] in ("credit", "clock"), "only these are also shown cut short"


@pytest.mark.parametrize("dump", wire_page.dumps(), ids=lambda d: json.loads(d.json)["type"])
def test_a_dump_is_taken_by_the_side_that_it_is_meant_for(dump: wire_page.Dump) -> None:
    fields: dict[str, Any] = json.loads(dump.json)
    if fields["type"] in {kind.__struct_config__.tag for kind in get_args(wire.ClientMessage)}:
        message, _ = wire.decode_from_client([dump.data, b""])
        assert message == msgspec.convert(fields, STRUCTS[fields["type"]])
    else:
        answer, _ = wire.decode_from_server([dump.data, b""])
        assert answer == msgspec.convert(fields, STRUCTS[fields["type"]])


def test_the_bytes_that_are_explained_are_those_of_the_dump_above() -> None:
    explained = wire_page.section("A header, byte by byte").table()
    digits = "".join(row["bytes"].replace("`", "") + " " for row in explained)
    assert bytes.fromhex(digits) == wire_page.dumps()[0].data


# The tables.

NAMES = {int: "int", float: "float", str: "str", bool: "bool"}


def described(annotation: Any) -> str:
    """How the page's msgpack column puts the type of a field."""
    if annotation in NAMES:
        return NAMES[annotation]
    origin, arguments = getattr(annotation, "__origin__", None), get_args(annotation)
    if hasattr(annotation, "__metadata__"):  # Annotated
        return described(annotation.__origin__)
    if origin is dict:
        return f"map of {described(arguments[0])} to {described(arguments[1])}"
    if origin is list:
        return "array"
    if type(None) in arguments:
        return f"{described(arguments[0])} or nil"
    (kind,) = {type(a) for a in arguments}  # Literal
    return NAMES[kind]


def default_of(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    if field.default_factory is not msgspec.NODEFAULT:
        return json.dumps(field.default_factory())
    return json.dumps(field.default).replace("null", "nil")


def test_the_page_describes_every_type_of_message_and_no_other() -> None:
    assert set(wire_page.messages()) == set(STRUCTS)


def test_both_ways_of_audio_are_described() -> None:
    titles = [section.title for section in wire_page.messages()["audio"]]
    assert titles == ["audio from the client", "audio from the server"]


@pytest.mark.parametrize("kind", STRUCTS)
def test_a_table_has_every_field_with_its_type_and_default(kind: str) -> None:
    fields = {field.name: field for field in msgspec.structs.fields(STRUCTS[kind])}
    for section in wire_page.messages()[kind]:
        rows = section.table()
        names = [row["field"] for row in rows]
        assert set(names) >= set(fields) - ENVELOPE
        assert set(names) <= set(fields)
        for row in rows:
            field = fields[row["field"]]
            assert row["msgpack"] == described(field.type)
            assert row["default"] == default_of(field)
            assert row["meaning"]


def test_the_envelope_is_that_of_every_message() -> None:
    rows = wire_page.section("The envelope").table()
    assert {row["field"] for row in rows} == ENVELOPE
    fields = {field.name: field for field in msgspec.structs.fields(wire.Header)}
    for row in rows:
        assert row["msgpack"] == described(fields[row["field"]].type)
        assert row["default"] == default_of(fields[row["field"]])


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("hello", "video"),
        ("video", "format"),
        ("state", "state"),
        ("turn_end", "reason"),
    ],
)
def test_every_value_of_a_choice_is_named(kind: str, field: str) -> None:
    (section,) = wire_page.messages()[kind]
    (row,) = [row for row in section.table() if row["field"] == field]
    (info,) = [f for f in msgspec.structs.fields(STRUCTS[kind]) if f.name == field]
    choices = set(get_args(info.type)) - ({"none"} if kind == "video" else set())
    assert {choice for choice in choices if f"`{choice}`" in f"`{row['meaning']}`"} == choices


# Names that are no fields.


def test_every_code_of_an_error_is_in_the_table() -> None:
    source = "".join(
        Path(str(module.__file__)).read_text(encoding="utf-8")
        for module in (server_module, connection_module, session_module, announcing_module)
    )
    sent = re.findall(r'(?:code=|_error\(identity, |tell_error\(|return )"([a-z_]+)"', source)
    assert set(sent) >= {"bad_message", "bad_version", "no_session", "stage_failed"}
    rows = wire_page.section("Errors").table()
    assert {row["code"] for row in rows} == set(sent)
    assert all(row["do"] for row in rows)


async def test_the_marks_and_stages_of_a_turn_are_on_the_page(run_server: RunServer) -> None:
    rows = wire_page.section("Marks").table()
    described = {row["mark"] for row in rows}
    seen: set[str] = set()
    stages: set[str] = set()
    async with run_server() as running, running.client() as client:
        visitor = Visitor(client)
        await visitor.type("When do you close?")
        await visitor.say((0.4 * np.sin(np.arange(8000) / 8)).astype(np.float32))
        running.engines.tts.gate.clear()
        await client.ask("And then?")
        running.engines.tts.gate.set()
        await visitor.type("Or rather?")
        for reply in visitor.recorder.replies.values():
            if reply.end is not None:
                seen |= set(reply.end.marks)
                stages |= {span[0] for span in reply.end.spans}
        await visitor.close()
    assert seen == described
    text = wire_page.section("Marks").text
    assert all(f"`{stage.removesuffix('.queue')}`" in text for stage in stages)
    assert "`asr.queue`" in text
    alone = {"asr", "llm", "tts", "lipsync"}
    assert stages == alone | {f"{stage}.queue" for stage in alone}


def test_the_limits_are_those_of_the_code() -> None:
    limits = {row["what"]: row["limit"] for row in wire_page.section("Limits").table()}
    frame_bytes = wire.MAX_PAYLOAD_BYTES + wire.MAX_HEADER_BYTES
    assert str(wire.MAX_HEADER_BYTES) in limits["header from a client"]
    assert str(wire.MAX_PAYLOAD_BYTES) in limits["payload from a client"]
    assert str(frame_bytes) in limits["payload from a client"]
    audio = limits["`audio` from a client".strip("`")]
    rates = connection_module.AUDIO_RATES_HZ
    assert f"{rates[0]} to {rates[-1]} Hz" in audio
    assert f"1 to {connection_module.MAX_CHANNELS} channels" in audio
    assert f"at most {connection_module.MAX_AUDIO_S:g} s" in audio
    waiting = limits["microphone audio that waits to be heard"]
    assert (
        f"{listening_module.MAX_WAITING_S:g} s and {listening_module.MAX_WAITING_BLOCKS}" in waiting
    )
