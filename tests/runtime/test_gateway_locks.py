"""Who is kept out: each request of a table is refused, and none of them reaches an engine."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from fakes.engines import FakeEngines
from fakes.gateways import LOUD_BLOCK
from fakes.locked_gateways import HOUR_S, Locked, forged, locked
from fakes.servers import RunServer


def test_the_counter_sees_what_reaches_an_engine() -> None:
    """Seeds the fault that the tables below guard against."""
    engines = FakeEngines()
    engines.llm.take("a question")
    assert Locked(None, engines, None).requests == 1  # type: ignore[arg-type]


async def test_whoever_has_the_right_token_is_let_in(run_server: RunServer, tmp_path: Path) -> None:
    async with locked(run_server, tmp_path) as door:
        token = door.token("talk")
        assert (await door.ask("/api/info", token)).status == 200
        async with door.gateway.browser(token=token) as browser:
            await browser.say(type="text", text="When do you close?")
            await browser.until("turn_end", reason="complete")
        assert door.requests > 0
        assert (await door.ask("/api/operator", door.token("operate"))).status == 200


HTTP_TABLE: list[tuple[str, str, str, int]] = [
    ("GET", "/api/info", "none", 401),
    ("GET", "/api/kiosk", "none", 401),
    ("GET", "/api/operator", "none", 401),
    ("POST", "/api/operator/restart", "none", 401),
    ("GET", "/api/info", "expired", 401),
    ("GET", "/api/operator", "expired", 401),
    ("GET", "/api/info", "forged", 401),
    ("GET", "/api/info", "long", 401),
    ("GET", "/api/operator", "talk", 403),
    ("POST", "/api/operator/restart", "talk", 403),
    ("POST", "/api/operator/restart", "upload", 403),
    ("GET", "/api/info", "operate", 403),
    ("POST", "/api/webrtc", "none", 401),
    ("POST", "/api/webrtc", "expired", 401),
    ("POST", "/api/webrtc", "upload", 403),
    ("POST", "/api/webrtc", "talk", 400),  # no offer in it
    ("POST", "/api/info", "talk", 405),
    ("DELETE", "/api/operator", "operate", 405),
    ("GET", "/api/nothing", "talk", 404),
    ("GET", "/../pyproject.toml", "talk", 404),
    ("GET", "/%2e%2e/%2e%2e/config.py", "talk", 404),
    ("GET", "/__init__.py", "talk", 404),
]


def tokens_of(door: Locked) -> dict[str, str]:
    return {
        "none": "",
        "expired": door.token("talk", "operate", lasts_s=-HOUR_S),
        "forged": forged("talk", "operate"),
        "long": "x" * 9000,
        "talk": door.token("talk"),
        "upload": door.token("upload"),
        "operate": door.token("operate"),
    }


async def test_every_request_of_the_table_is_refused_and_none_reaches_an_engine(
    run_server: RunServer, tmp_path: Path
) -> None:
    async with locked(run_server, tmp_path) as door:
        tokens = tokens_of(door)
        for method, path, who, status in HTTP_TABLE:
            answered = await door.ask(path, tokens[who], method=method)
            assert answered.status == status, (method, path, who)
            assert json.loads(answered.body)["message"], (method, path, who)
        assert door.requests == 0


WEBSOCKET_TABLE = ["none", "expired", "forged", "upload", "operate"]


async def test_a_websocket_without_the_right_token_never_opens(
    run_server: RunServer, tmp_path: Path
) -> None:
    async with locked(run_server, tmp_path) as door:
        tokens = tokens_of(door)
        for who in WEBSOCKET_TABLE:
            with pytest.raises(InvalidStatus) as refused:
                async with door.gateway.browser(token=tokens[who], hello=False):
                    pass
            assert refused.value.response.status_code == 403, who
        assert door.requests == 0


MALFORMED: list[str | bytes] = [
    "",
    "{",
    "[]",
    '"text"',
    '{"type": "shell", "command": "id"}',
    '{"type": "text"}',
    '{"type": "text", "text": 5}',
    '{"type": "text", "text": "before hello"}',
    '{"type": "hello", "audio_rate_hz": "fast"}',
    '{"type": "hello", "v": 99}',
    '{"type": "hello", "video": "rgb"}',
    '{"type": "hello", "sound": "opus", "audio_rate_hz": 16000}',
    '{"type": "credit", "frames": -1}',
    "[" * 10_000,
    json.dumps({"type": "text", "text": "x" * 20_000}),
    LOUD_BLOCK,  # before hello
    bytes(200_000),  # more than a second of sound
]


async def test_malformed_and_oversized_messages_are_told_and_reach_no_engine(
    run_server: RunServer, tmp_path: Path
) -> None:
    async with locked(run_server, tmp_path) as door:
        for content in MALFORMED:
            async with door.gateway.browser(token=door.token("talk"), hello=False) as browser:
                await browser.socket.send(content)
                error = await browser.until("error")
                assert error["code"] == "bad_message", content[:60]
        assert door.requests == 0


async def test_a_message_that_is_far_too_large_ends_the_connection(
    run_server: RunServer, tmp_path: Path
) -> None:
    async with locked(run_server, tmp_path) as door:
        async with door.gateway.browser(token=door.token("talk"), hello=False) as browser:
            await browser.socket.send(bytes(1_000_000))
            assert await closed(browser.socket) == 1009
        assert door.requests == 0


async def closed(socket: Any) -> int:
    """The code with which the other side closes."""

    async def read() -> None:
        while True:
            await socket.recv()

    with pytest.raises(ConnectionClosed) as ended:
        await asyncio.wait_for(read(), 5)
    assert ended.value.rcvd is not None
    return ended.value.rcvd.code


async def test_a_flood_of_messages_ends_the_connection(
    run_server: RunServer, tmp_path: Path
) -> None:
    async with (
        locked(run_server, tmp_path) as door,
        door.gateway.browser(token=door.token("talk")) as browser,
    ):
        with contextlib.suppress(ConnectionClosed):
            for _ in range(2000):
                await browser.socket.send('{"type": "clock"}')
        assert await closed(browser.socket) == 1008


async def test_many_faults_end_the_connection(run_server: RunServer, tmp_path: Path) -> None:
    async with (
        locked(run_server, tmp_path) as door,
        door.gateway.browser(token=door.token("talk"), hello=False) as browser,
    ):
        for _ in range(20):
            await browser.socket.send("{")
        assert await closed(browser.socket) == 1008


async def test_requests_beyond_the_rate_are_refused(run_server: RunServer, tmp_path: Path) -> None:
    async with locked(run_server, tmp_path, requests_per_s=0.2) as door:
        first = await door.ask("/api/info", door.token("talk"))
        second = await door.ask("/api/info", door.token("talk"))
        assert (first.status, second.status) == (200, 429)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),  # a stranger's name that points at this machine
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
async def test_pages_of_strangers_are_kept_out_on_loopback_too(
    run_server: RunServer, tmp_path: Path, headers: dict[str, str], status: int
) -> None:
    async with locked(run_server, tmp_path, token_secret="") as door:
        answered = await door.gateway.request("GET", "/api/info", headers=headers)
        assert answered.status == status
        with pytest.raises(InvalidStatus):
            async with connect(
                f"ws://127.0.0.1:{door.gateway.port}/api/talk",
                additional_headers={k: v for k, v in headers.items() if k != "Host"}
                or {"Origin": "https://evil.example"},
                proxy=None,
            ):
                pass
        assert door.requests == 0


async def test_no_answer_lets_another_site_read_it_or_run_a_script(
    run_server: RunServer, tmp_path: Path
) -> None:
    async with locked(run_server, tmp_path) as door:
        for path in ("/", "/kiosk.js", "/api/info", "/api/health", "/nothing"):
            headers = (await door.ask(path)).headers
            assert "access-control-allow-origin" not in headers
            assert "default-src 'none'" in headers["content-security-policy"]
            assert "unsafe" not in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
            assert "server" not in headers


async def test_a_visit_that_has_lasted_long_enough_ends_at_its_next_rest(
    run_server: RunServer, tmp_path: Path
) -> None:
    async with (
        locked(run_server, tmp_path, visit_limit_s=0.1) as door,
        door.gateway.browser(token=door.token("talk")) as browser,
    ):
        await browser.say(type="text", text="When do you close?")
        await browser.until("turn_end", reason="complete")
        assert await closed(browser.socket) == 4001


async def test_a_connection_ends_with_its_token(run_server: RunServer, tmp_path: Path) -> None:
    async with locked(run_server, tmp_path) as door:
        token = door.token("talk", lasts_s=1.0)
        async with door.gateway.browser(token=token) as browser:
            assert await closed(browser.socket) == 4001
