"""What a visitor sends over the wire: taken, used, refused, forgotten."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import halfsecond
from fakes import wire_page
from fakes.engines import FakeEngines, FakeTts
from fakes.peers import Peer, plain_peer
from fakes.servers import QUICK, Running, RunServer
from fakes.uploads import fake_workshop, upload
from halfsecond import errors, wire
from halfsecond.config import Config, UploadsConfig
from halfsecond.errors import UnsupportedModelError
from halfsecond.models.tts.voice import SpeechChunk
from halfsecond.stages.lipsync import LipSyncRequest
from halfsecond.stages.tts import TtsRequest

TAKING = UploadsConfig(takes_portraits=True, takes_voices=True, max_mb=3.0, per_session=3)
CONSENT = "Ada Lovelace, in writing, 2026-11-29"


def taking(**settings: Any) -> Config:
    return msgspec.structs.replace(QUICK, uploads=msgspec.structs.replace(TAKING, **settings))


def worn(engines: FakeEngines) -> list[bytes]:
    return list(engines.lipsync.worn.values())


async def until_worn_is(running: Running, faces: list[bytes]) -> None:
    for _ in range(200):
        if worn(running.engines) == faces:
            return
        await asyncio.sleep(0.02)
    assert worn(running.engines) == faces


async def test_a_photo_of_several_pieces_becomes_the_face_of_its_session_alone(
    run_server: RunServer,
) -> None:
    async with (
        run_server(taking(), workshop=fake_workshop()) as running,
        plain_peer(running.address) as peer,
        plain_peer(running.address) as other,
    ):
        welcome = await peer.hello()
        await other.hello()
        assert welcome["uploads"] == ["portrait", "voice"]
        data = bytes(2_500_000) + b"my photo"
        answer = await upload(peer, data)
        assert answer["is_taken"], answer
        assert (answer["kind"], answer["reason"]) == ("portrait", "")
        assert running.engines.lipsync.worn == {welcome["session"]: b"made of my photo"}


async def test_a_session_may_change_its_face_and_may_be_refused_and_try_again(
    run_server: RunServer,
) -> None:
    async with (
        run_server(taking(), workshop=fake_workshop()) as running,
        plain_peer(running.address) as peer,
    ):
        await peer.hello()
        assert (await upload(peer, b"the first"))["is_taken"]
        refused = await upload(peer, b"bad photo")
        assert (refused["is_taken"], refused["reason"]) == (False, "no_face")
        assert refused["message"] == "no face found in the picture"
        assert worn(running.engines) == [b"made of he first"]
        assert (await upload(peer, b"the third"))["is_taken"]
        assert worn(running.engines) == [b"made of he third"]


async def test_a_face_is_changed_when_the_answer_is_over_and_the_answer_is_whole(
    run_server: RunServer,
) -> None:
    async with (
        run_server(taking(), workshop=fake_workshop()) as running,
        plain_peer(running.address) as peer,
    ):
        await peer.hello()
        running.engines.lipsync.gate.clear()  # the answer's pictures take their time
        await peer.send("text", text="When do you close?")
        await peer.receive("audio")
        sending = asyncio.create_task(upload(peer, b"my photo"))
        await asyncio.sleep(0.5)
        assert not sending.done()
        assert worn(running.engines) == []
        running.engines.lipsync.gate.set()
        assert (await sending)["is_taken"]
        actions = [r.action for r in running.engines.lipsync.seen if r.action in ("finish", "wear")]
        assert actions == ["finish", "wear"]


REFUSED: dict[str, tuple[dict[str, Any], bytes, str]] = {
    "too large": ({"size": 3_000_001}, b"x", "too_large"),
    "a voice without consent": ({"kind": "voice"}, b"RIFF", "no_consent"),
    "a voice with a consent of nobody": (
        {"kind": "voice", "consent": "yes"},
        b"RIFF",
        "no_consent",
    ),
    "a worker that crashes": ({}, b"crash", "failed"),
    "a worker that takes too long": ({}, b"slow", "too_slow"),
    "no face": ({}, b"bad", "no_face"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_refused_says_why_and_reaches_no_engine(
    run_server: RunServer, name: str
) -> None:
    fields, data, reason = REFUSED[name]
    limit_s = 0.7 if reason == "too_slow" else 30.0
    async with (
        run_server(taking(), workshop=fake_workshop(time_limit_s=limit_s)) as running,
        plain_peer(running.address) as peer,
    ):
        await peer.hello()
        answer = await upload(peer, data, **fields)
        assert (answer["type"], answer["is_taken"], answer["reason"]) == ("uploaded", False, reason)
        assert answer["message"]
        assert worn(running.engines) == []
        assert await peer.is_answered()


MALFORMED: dict[str, list[tuple[bytes, dict[str, Any]]]] = {
    "an unknown kind": [(b"x", {"kind": "film", "size": 1})],
    "no kind": [(b"x", {"size": 1})],
    "no size": [(b"x", {"kind": "portrait"})],
    "nothing": [(b"", {"kind": "portrait", "size": 0})],
    "a negative size": [(b"x", {"kind": "portrait", "size": -5})],
    "a size in words": [(b"x", {"kind": "portrait", "size": "big"})],
    "more than was said": [(b"xxxxx", {"kind": "portrait", "size": 4})],
    "a piece without a beginning": [(b"x", {"kind": "portrait", "size": 2, "seq": 1})],
    "a piece that is missing": [
        (b"x", {"kind": "portrait", "size": 3}),
        (b"x", {"kind": "portrait", "size": 3, "seq": 2}),
    ],
    "a piece that came before": [
        (b"x", {"kind": "portrait", "size": 4}),
        (b"x", {"kind": "portrait", "size": 4, "seq": 1}),
        (b"x", {"kind": "portrait", "size": 4, "seq": 1}),
    ],
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_a_malformed_upload_costs_its_sender_an_error_and_reaches_no_engine(
    run_server: RunServer, name: str
) -> None:
    async with (
        run_server(taking(), workshop=fake_workshop()) as running,
        plain_peer(running.address) as peer,
    ):
        await peer.hello()
        for payload, fields in MALFORMED[name]:
            await peer.send("upload", payload, **fields)
        assert (await peer.receive("error", "uploaded"))["code"] == "bad_message"
        assert worn(running.engines) == []
        assert (await upload(peer, b"my photo"))["is_taken"]


async def test_a_session_may_send_so_many_files_and_one_at_a_time(run_server: RunServer) -> None:
    async with (
        run_server(taking(per_session=2), workshop=fake_workshop()) as running,
        plain_peer(running.address) as peer,
    ):
        await peer.hello()
        await peer.send("upload", b"my photo", kind="portrait", size=8)
        busy = await upload(peer, b"another!")
        assert busy["reason"] == "busy"
        assert (await peer.receive("uploaded"))["is_taken"]
        assert (await upload(peer, b"a second"))["is_taken"]
        assert (await upload(peer, b"a third!"))["reason"] == "too_many"
        assert worn(running.engines) == [b"made of a second"]


async def test_nothing_is_taken_unless_the_config_says_so(run_server: RunServer) -> None:
    async with run_server() as running, plain_peer(running.address) as peer:
        assert (await peer.hello())["uploads"] == []
        refused = await upload(peer, b"my photo")
        assert refused["reason"] == "not_taken"
        assert "uploads.takes_portraits" in refused["message"]


async def test_a_file_before_hello_is_told_to_say_hello(run_server: RunServer) -> None:
    async with (
        run_server(taking(), workshop=fake_workshop()) as running,
        plain_peer(running.address) as peer,
    ):
        assert (await upload(peer, b"my photo"))["code"] == "no_session"


async def test_a_file_that_comes_in_too_slowly_is_dropped(run_server: RunServer) -> None:
    async with (
        run_server(taking(time_limit_s=0.2), workshop=fake_workshop()) as running,
        plain_peer(running.address) as peer,
    ):
        await peer.hello()
        await peer.send("upload", b"my ", kind="portrait", size=8)
        await asyncio.sleep(0.4)
        await peer.send("upload", b"photo", kind="portrait", size=8, seq=1)
        assert (await peer.receive("uploaded"))["reason"] == "too_slow"


class OwnVoice(FakeTts):
    """Speaks as itself only."""

    def run(self, request: TtsRequest, cancel: Any) -> Iterator[SpeechChunk]:
        if request.voiceprint:
            raise UnsupportedModelError("this voice cannot speak as somebody else")
        yield from super().run(request, cancel)


async def test_a_voice_is_spoken_with_or_the_answer_says_that_it_cannot_be(
    run_server: RunServer,
) -> None:
    for tts, reason in ((FakeTts(), ""), (OwnVoice(), "voice_cannot")):
        engines = FakeEngines()
        engines.tts = tts
        async with (
            run_server(taking(), engines=engines, workshop=fake_workshop()) as running,
            plain_peer(running.address) as peer,
        ):
            await peer.hello()
            answer = await upload(peer, b"my voice", kind="voice", consent=CONSENT)
            assert (answer["is_taken"], answer["reason"]) == (not reason, reason)
            await peer.send("text", text="When do you close?")
            assert (await peer.receive("turn_end"))["reason"] == "complete"
            spoken = {request.voiceprint for request in tts.requests if request.text}
            assert spoken == ({b""} if reason else {b"made of my voice"})


def test_every_reason_is_on_the_page() -> None:
    files = [
        *Path(halfsecond.__file__).parent.glob("models/face/*.py"),
        *Path(halfsecond.__file__).parent.glob("models/speaker/*.py"),
        *Path(halfsecond.__file__).parent.glob("models/lipsync/avatar_checks.py"),
        *Path(halfsecond.__file__).parent.glob("uploads/*.py"),
        *Path(halfsecond.__file__).parent.glob("stages/visitor_files.py"),
        Path(str(errors.__file__)),
    ]
    source = "".join(path.read_text(encoding="utf-8") for path in files)
    used = set(re.findall(r'reason(?:: str)? ?= ?"([a-z_]+)"', source))
    used |= set(re.findall(r'Refusal\(\s*"([a-z_]+)"', source))
    rows = wire_page.section("Reasons").table()
    described = {name for row in rows for name in re.findall(r"[a-z_]+", row["reason"])}
    assert used == described


# Ends.


async def leave(peer: Peer, how: str, running: Running) -> None:
    if how == "goodbye":
        await peer.send("bye")
    elif how == "another hello":
        await peer.hello()
    elif how == "the server stops":
        await running.server.close()
    # "silence": nothing more is heard from the client


@pytest.mark.parametrize("how", ["goodbye", "another hello", "silence", "the server stops"])
async def test_the_face_goes_with_its_session_however_that_ends(
    run_server: RunServer, how: str
) -> None:
    async with (
        run_server(taking(), workshop=fake_workshop()) as running,
        plain_peer(running.address) as peer,
    ):
        await peer.hello()
        await upload(peer, b"my photo")
        assert worn(running.engines) == [b"made of my photo"]
        await leave(peer, how, running)
        await until_worn_is(running, [])


async def test_a_session_that_ends_takes_the_work_on_its_file_with_it(
    run_server: RunServer,
) -> None:
    workshop = fake_workshop()
    async with (
        run_server(taking(), workshop=workshop) as running,
        plain_peer(running.address) as leaving,
        plain_peer(running.address) as staying,
    ):
        await leaving.hello()
        await staying.hello()
        await leaving.send("upload", b"slow one", kind="portrait", size=8)
        for _ in range(100):
            if workshop.pid is not None:
                break
            await asyncio.sleep(0.02)
        await leaving.send("bye")
        assert (await upload(staying, b"my photo"))["is_taken"]  # a minute later otherwise
        assert worn(running.engines) == [b"made of my photo"]


def test_the_wire_of_stages_carries_a_face() -> None:
    from halfsecond.stages import codec

    request = LipSyncRequest("s", "wear", face=b"\x00\xffnot text")
    assert codec.decode(codec.encode(request), LipSyncRequest).face == request.face


def test_a_client_of_before_is_told_nothing_that_it_must_understand() -> None:
    assert wire.Welcome().uploads == []
