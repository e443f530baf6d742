"""The gateway alone is killed in the middle of an upload: nothing of the photo is left."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from fakes.gateways import Browser, browser_at
from fakes.killable import Kept, killable_gateway, killable_server, server_address, until

pytestmark = [
    pytest.mark.models,
    pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's"),
]


def ticket_of(browser: Browser) -> str:
    """For the files of its visit."""
    return str(browser.of("welcome")[-1]["upload"])


def post(port: int, ticket: str, body: bytes, *, size: int) -> socket.socket:
    """Sends so much of a photo of that size; the connection stays open."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    head = (
        f"POST /api/upload/portrait HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Upload-Ticket: {ticket}\r\nContent-Length: {size}\r\n\r\n"
    )
    connection.sendall(head.encode() + body)
    return connection


async def test_after_a_kill_of_the_gateway_alone_nothing_of_a_photo_is_left(
    tmp_path: Path, model_dir: Callable[[str], Path]
) -> None:
    """Of one visitor half a photo has come; a worker of the server looks at the other's."""
    kept = Kept(tmp_path)
    part = kept.photo[: len(kept.photo) * 2 // 3]
    assert all(needle in part for needle in kept.needles)
    async with AsyncExitStack() as stack:
        starting = (
            killable_server(tmp_path, model_dir("face")),
            killable_gateway(tmp_path, server_address(tmp_path)),
        )
        server, gateway = await asyncio.gather(*map(stack.enter_async_context, starting))
        port = urlsplit(gateway.address).port or 0
        first, second = [await stack.enter_async_context(browser_at(port)) for _ in range(2)]
        for browser, body in ((first, part), (second, kept.photo)):
            posted = post(port, ticket_of(browser), body, size=len(kept.photo))
            stack.enter_context(posted)
        await until(server.workers)
        await until(lambda: not gateway.unread_bytes())
        await gateway.kill()
        assert kept.found(server.process.pid) == []
        # A dead process says nothing: its sessions end when nothing is heard, or taken, any more.
        for _ in range(2):
            await server.says(r"session closed")
        await until(lambda: not server.workers())
        assert kept.found(server.process.pid) == []
    assert kept.found() == []
