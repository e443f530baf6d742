"""`halfsecond stream`: the face as a live stream, which answers the questions that are typed."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import Annotated, Literal

import msgspec
import typer
from rich.console import Console
from rich.markup import escape

from halfsecond import wire
from halfsecond.bus.keys import load_client_keys
from halfsecond.cli.options import KeysDir
from halfsecond.client import Client, Event, Received
from halfsecond.config import ServerConfig
from halfsecond.errors import ConfigError

console = Console(highlight=False, stderr=True)


def stream(
    target: Annotated[
        str, typer.Argument(help="rtmp://HOST/APP/KEY, or a folder for HLS (live.m3u8).")
    ],
    connect: Annotated[str, typer.Option(help="Address of the server.")] = ServerConfig().bind,
    avatar: Annotated[str, typer.Option(help="Which face; the server's without it.")] = "",
    fps: Annotated[int | None, typer.Option(help="25 or 30; the server's without it.")] = None,
    lasts_s: Annotated[
        float | None, typer.Option(help="Ends after so many seconds; Ctrl-C without it.")
    ] = None,
    keys: KeysDir = None,
) -> None:
    """Stream the face to RTMP or HLS; every line that is typed is a question to it."""
    try:
        from halfsecond.gateway.broadcast import CREDIT
    except ImportError as error:
        raise ConfigError(
            f"streaming needs the extra `gateway` ({error}): pip install 'halfsecond[gateway]'"
        ) from error
    try:
        wished: Literal[25, 30] | None = msgspec.convert(fps, Literal[25, 30] | None)
    except msgspec.ValidationError as error:
        raise ConfigError(f"--fps is {fps}; it can be 25 or 30") from error
    hello = wire.Hello(
        client="halfsecond stream",
        video="rgb",
        credit=CREDIT,
        avatar=avatar or None,
        fps=wished,
    )
    client = Client(connect, hello=hello, keys=load_client_keys(keys) if keys else None)
    asyncio.run(_stream(client, target, lasts_s))


async def _stream(client: Client, target: str, lasts_s: float | None) -> None:
    from halfsecond.gateway.broadcast import Broadcast

    async with client:
        asking = asyncio.create_task(_ask_lines(client))
        broadcast = Broadcast(client, target)
        try:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(broadcast.run(_show), lasts_s)
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
    if broadcast.left_out:
        console.print(f"{broadcast.left_out} pictures were left out: encoding was behind")


async def _ask_lines(client: Client) -> None:
    """Asks what stands in each line of standard input, until it ends."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    try:
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    except ValueError:  # a file, or nothing: no pipe that could be waited for
        for line in sys.stdin:
            await _ask(client, line)
        return
    while line := await reader.readline():
        await _ask(client, line.decode("utf-8", "replace"))


async def _ask(client: Client, line: str) -> None:
    if line.strip():
        await client.ask(line.strip())


def _show(event: Event) -> None:
    if not isinstance(event, Received):
        console.print(f"[yellow]{event.reason}; trying again[/yellow]")
    elif isinstance(event.message, wire.Answer):
        console.print(f"[bold]answer:[/bold] {escape(event.message.text)}")
