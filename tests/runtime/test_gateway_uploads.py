"""Files that browsers send: who may, to which visit, and what is refused."""

from __future__ import annotations

import asyncio
import json
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fakes.locked_gateways import HOUR_S, Locked, forged, locked
from fakes.servers import RunServer
from fakes.uploads import fake_workshop
from halfsecond.config import UploadsConfig

CONSENT = quote("Ada Lovelace, schriftlich für heute, 2026-11-29")


def uploading(
    run_server: RunServer, tmp_path: Path, *, slowest_s: float = 10.0, **settings: Any
) -> AbstractAsyncContextManager[Locked]:
    """A locked gateway that takes files; settings: of `[uploads]`."""
    uploads = {"takes_portraits": True, "takes_voices": True, "max_mb": 0.5, **settings}
    workshop = fake_workshop(time_limit_s=slowest_s)
    return locked(run_server, tmp_path, uploads=UploadsConfig(**uploads), workshop=workshop)


async def test_a_photo_that_is_posted_becomes_the_face_of_that_visit(
    run_server: RunServer, tmp_path: Path
) -> None:
    async with (
        uploading(run_server, tmp_path) as door,
        door.gateway.browser(token=door.token("talk")) as browser,
        door.gateway.browser(token=door.token("talk")) as other,
    ):
        tickets = [b.of("welcome")[-1]["upload"] for b in (browser, other)]
        assert len(set(tickets)) == 2
        answered = await door.post(ticket=tickets[0], token=door.token("talk", "upload"))
        assert (answered.status, answered.json()["is_taken"]) == (200, True)
        assert (await browser.until("uploaded"))["is_taken"]
        session = browser.of("welcome")[-1]["session"]
        assert door.engines.lipsync.worn == {session: b"made of my photo"}


async def test_a_face_goes_with_its_visit_and_the_ticket_too(
    run_server: RunServer, tmp_path: Path
) -> None:
    async with (
        uploading(run_server, tmp_path) as door,
        door.gateway.browser(token=door.token("talk")) as browser,
    ):
        ticket = browser.of("welcome")[-1]["upload"]
        assert (await door.post(ticket=ticket)).status == 200
        assert door.worn
        await browser.say(type="bye")
        for _ in range(200):
            if not door.worn:
                break
            await asyncio.sleep(0.02)
        assert door.worn == []
        assert (await door.post(ticket=ticket)).status == 403


async def test_a_rest_gives_the_next_visitor_another_ticket_and_the_face_of_the_house(
    run_server: RunServer, tmp_path: Path
) -> None:
    async with (
        uploading(run_server, tmp_path) as door,
        door.gateway.browser(token=door.token("talk")) as browser,
    ):
        ticket = browser.of("welcome")[-1]["upload"]
        await door.post(ticket=ticket)
        await browser.say(type="hello", audio_rate_hz=48_000)
        again = await browser.until("welcome")
        assert door.worn == []
        assert again["upload"] not in ("", ticket)
        assert (await door.post(ticket=ticket)).status == 403


REFUSED: list[tuple[str, dict[str, Any], int, str]] = [
    ("no token", {"token": ""}, 401, "access"),
    ("an expired token", {"token": "expired"}, 401, "access"),
    ("a forged token", {"token": "forged"}, 401, "access"),
    ("a token for talking", {"token": "talk"}, 403, "access"),
    ("a token for operators", {"token": "operate"}, 403, "access"),
    ("no ticket", {"ticket": ""}, 403, "no_ticket"),
    ("a guessed ticket", {"ticket": "AAAAAAAAAAAAAAAAAAAAAA"}, 403, "no_ticket"),
    ("another kind", {"kind": "film"}, 404, "not_found"),
    ("a path", {"kind": "..%2f..%2fetc"}, 405, "http"),
    ("not posted", {"method": "GET"}, 404, "http"),
    ("not posted but put", {"method": "PUT"}, 405, "http"),
    ("nothing", {"body": b""}, 400, "empty"),
    ("too much", {"body": bytes(500_001)}, 413, "too_large"),
    ("a length that is none", {"headers": {"Content-Length": "8e3"}}, 400, ""),
    ("from another site", {"headers": {"Origin": "https://evil.example"}}, 403, "refused"),
    ("a voice without consent", {"kind": "voice"}, 422, "no_consent"),
    ("no face", {"body": b"bad photo"}, 422, "no_face"),
    ("a crash", {"body": b"crash"}, 422, "failed"),
]


async def test_every_upload_of_the_table_is_refused_and_none_reaches_an_engine(
    run_server: RunServer, tmp_path: Path
) -> None:
    async with (
        uploading(run_server, tmp_path, per_session=100) as door,
        door.gateway.browser(token=door.token("talk")) as browser,
    ):
        tokens = {
            "expired": door.token("upload", lasts_s=-HOUR_S),
            "forged": forged("upload"),
            "talk": door.token("talk"),
            "operate": door.token("operate", "talk"),
        }
        for name, asked, status, code in REFUSED:
            ask = {"ticket": browser.of("welcome")[-1]["upload"], **asked}
            if "token" in ask:
                ask["token"] = tokens.get(ask["token"], ask["token"])
            answered = await door.post(**ask)
            assert answered.status == status, (name, answered)
            if code:
                assert json.loads(answered.body)["error"] == code, name
                assert json.loads(answered.body)["message"], name
        assert door.worn == []
        assert (await door.post(ticket=browser.of("welcome")[-1]["upload"])).status == 200


async def test_a_body_that_says_nothing_of_its_length_is_read_no_further_than_the_limit(
    run_server: RunServer, tmp_path: Path
) -> None:
    async with (
        uploading(run_server, tmp_path) as door,
        door.gateway.browser(token=door.token("talk")) as browser,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", door.gateway.port)
        ticket, token = browser.of("welcome")[-1]["upload"], door.token("upload")
        writer.write(
            f"POST /api/upload/portrait HTTP/1.1\r\nHost: 127.0.0.1\r\nUpload-Ticket: {ticket}\r\n"
            f"Authorization: Bearer {token}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        for _ in range(8):
            writer.write(b"10000\r\n" + bytes(65536) + b"\r\n")
        await writer.drain()
        assert b" 413 " in await asyncio.wait_for(reader.readline(), 5)
        writer.close()
        assert door.worn == []


async def test_a_body_that_drips_is_given_up(run_server: RunServer, tmp_path: Path) -> None:
    async with (
        uploading(run_server, tmp_path, time_limit_s=1.0) as door,
        door.gateway.browser(token=door.token("talk")) as browser,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", door.gateway.port)
        ticket, token = browser.of("welcome")[-1]["upload"], door.token("upload")
        writer.write(
            f"POST /api/upload/portrait HTTP/1.1\r\nHost: 127.0.0.1\r\nUpload-Ticket: {ticket}\r\n"
            f"Authorization: Bearer {token}\r\nContent-Length: 100\r\n\r\nmy".encode()
        )
        assert b" 408 " in await asyncio.wait_for(reader.readline(), 5)
        writer.close()
        assert door.worn == []


async def test_a_visit_has_one_file_on_its_way(run_server: RunServer, tmp_path: Path) -> None:
    async with (
        uploading(run_server, tmp_path, slowest_s=1.5) as door,
        door.gateway.browser(token=door.token("talk")) as browser,
    ):
        ticket = browser.of("welcome")[-1]["upload"]
        answers = await asyncio.gather(
            door.post(b"slow one", ticket=ticket), door.post(b"slow two", ticket=ticket)
        )
        assert sorted(answered.status for answered in answers) == [408, 409]


async def test_a_browser_that_leaves_takes_its_file_with_it(
    run_server: RunServer, tmp_path: Path
) -> None:
    async with uploading(run_server, tmp_path) as door:
        async with door.gateway.browser(token=door.token("talk")) as browser:
            ticket = browser.of("welcome")[-1]["upload"]
            posting = asyncio.create_task(door.post(b"slow one", ticket=ticket))
            await asyncio.sleep(0.3)
        answered = await posting
        assert answered.status == 503
        assert door.worn == []


async def test_a_recording_is_taken_with_the_consent_of_any_alphabet(
    run_server: RunServer, tmp_path: Path
) -> None:
    async with (
        uploading(run_server, tmp_path) as door,
        door.gateway.browser(token=door.token("talk")) as browser,
    ):
        ticket = browser.of("welcome")[-1]["upload"]
        headers = {"Upload-Consent": CONSENT}
        answered = await door.post(ticket=ticket, kind="voice", headers=headers)
        assert answered.status == 200
        await browser.say(type="text", text="When do you close?")
        await browser.until("turn_end", reason="complete")
        assert door.engines.tts.requests[-1].voiceprint == b"made of my photo"


async def test_without_the_wish_of_the_config_there_is_no_ticket(
    run_server: RunServer, tmp_path: Path
) -> None:
    async with (
        uploading(run_server, tmp_path, takes_portraits=False, takes_voices=False) as door,
        door.gateway.browser(token=door.token("talk")) as browser,
    ):
        assert browser.of("welcome")[-1]["upload"] == ""
        assert (await door.post(ticket="")).status == 403
