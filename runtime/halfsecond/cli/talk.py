"""`halfsecond talk`: a conversation in the terminal, by microphone, file or keyboard."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from halfsecond import audio, wire
from halfsecond.bus.keys import load_client_keys
from halfsecond.cli.options import KeysDir, check_folder_of, check_one_question, load_question
from halfsecond.client import Client, Event, Received
from halfsecond.config import ServerConfig
from halfsecond.conversation import Visitor
from halfsecond.errors import ConfigError
from halfsecond.loudspeaker import Loudspeaker
from halfsecond.microphone import open_microphone
from halfsecond.models.tts.voice import SPEECH_RATE_HZ

console = Console(highlight=False)


def talk(
    connect: Annotated[str, typer.Option(help="Address of the server.")] = ServerConfig().bind,
    question: Annotated[
        Path | None, typer.Option(help="Recorded question; the microphone without one.")
    ] = None,
    text: Annotated[str | None, typer.Option(help="Typed question.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the answer's sound here (WAV).")] = None,
    keys: KeysDir = None,
) -> None:
    """Ask a running server, and print what was heard and answered."""
    check_one_question(question, text)
    if text is not None and not text.strip():
        raise ConfigError("--text is empty; give the question")
    if out is not None:
        check_folder_of(out)
    own_keys = load_client_keys(keys) if keys else None
    client = Client(
        connect, hello=wire.Hello(client="halfsecond talk", video="none"), keys=own_keys
    )
    if question is None and text is None:
        asyncio.run(_converse(client))
    else:
        asyncio.run(_ask_once(client, question, text, out))


async def _ask_once(
    client: Client, question: Path | None, text: str | None, out: Path | None
) -> None:
    async with client:
        visitor = Visitor(client)
        if question is not None:
            exchange = await visitor.say(load_question(question, console))
        else:
            exchange = await visitor.type(text or "")
        reply = exchange.reply
        if reply.transcript:
            console.print(f"[bold]heard:[/bold] {reply.transcript}")
        console.print(f"[bold]answer:[/bold] {reply.text}")
        for error in visitor.recorder.errors:
            console.print(f"[red]error:[/red] {escape(error)}")
        if out is not None:
            reply.save_sound(out)
            console.print(f"wrote {out}")
        await visitor.close()
        if visitor.recorder.errors:
            raise typer.Exit(1)


async def _converse(client: Client) -> None:
    async with client:
        console.print("Speak; Ctrl-C ends. Wear headphones: the microphone hears the answer.")
        await asyncio.gather(_send_microphone(client), _play(client))


async def _send_microphone(client: Client) -> None:
    blocks = open_microphone()
    loop = asyncio.get_running_loop()
    while True:
        block = await loop.run_in_executor(None, next, blocks)
        await client.send_audio(audio.float_to_pcm16(block))


async def _play(client: Client) -> None:
    import sounddevice  # pyright: ignore[reportMissingImports]

    with sounddevice.RawOutputStream(
        samplerate=SPEECH_RATE_HZ, channels=1, dtype="int16"
    ) as device:
        loop = asyncio.get_running_loop()

        async def write(block: bytes) -> None:
            await loop.run_in_executor(None, device.write, block)

        async def report(turn: int, pts_s: float) -> None:
            await client.report_playhead(turn=turn, pts_s=pts_s)

        loudspeaker = Loudspeaker(write, report, rate_hz=SPEECH_RATE_HZ)
        playing = asyncio.create_task(loudspeaker.play())
        try:
            async for event in client.events():
                _show(event)
                if isinstance(event, Received):
                    loudspeaker.add(event.message, event.payload)
        finally:
            playing.cancel()


def _show(event: Event) -> None:
    if not isinstance(event, Received):
        console.print(f"[yellow]{event.reason}; trying again[/yellow]")
    elif isinstance(event.message, wire.Transcript) and event.message.is_final:
        console.print(f"[bold]heard:[/bold] {escape(event.message.text)}")
    elif isinstance(event.message, wire.Answer):
        console.print(f"[bold]answer:[/bold] {escape(event.message.text)}")
