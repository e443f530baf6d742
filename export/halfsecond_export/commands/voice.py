"""`halfsecond export voice`."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer
from rich.console import Console

from halfsecond.cli.options import JsonFlag
from halfsecond.errors import ConfigError
from halfsecond.models.speaker.denoising import open_denoiser
from halfsecond.store import Store
from halfsecond.voiceprint import SUFFIX, write_voiceprint
from halfsecond_export.commands.options import Home, extra_packages, progress_bar, written_to

_NAME = re.compile(r"[\w][\w.-]*")


def voice(
    reference: Annotated[Path, typer.Argument(help="3 to 30 s in which one person speaks.")],
    name: Annotated[str, typer.Option(help="What the voice is called.")],
    consent: Annotated[
        str, typer.Option(help='Who agreed to it, and when: "Ada Lovelace, 2026-11-29".')
    ],
    out: Annotated[
        Path | None, typer.Option(help="File; by default below artifacts/voices.")
    ] = None,
    engine: Annotated[
        Literal["", "kokoro"],
        typer.Option(help="kokoro: fit one of its styles (minutes, extra export)."),
    ] = "",
    language: Annotated[
        Literal["en", "zh"], typer.Option(help="That Kokoro will speak with the voice.")
    ] = "en",
    steps: Annotated[int, typer.Option(min=1, help="Of the fit of Kokoro.")] = 60,
    encoder: Annotated[
        Path | None,
        typer.Option(help="Coqui's model_se.pth, for YourTTS; Resemblyzer's without it."),
    ] = None,
    encoder_config: Annotated[
        Path | None, typer.Option(help="Its config; by default config_se.json beside it.")
    ] = None,
    denoiser: Annotated[
        str, typer.Option(help="auto, rnnoise (extra voice), webrtc (extra aec), none.")
    ] = "auto",
    home: Home = None,
    as_json: JsonFlag = False,
) -> None:
    """Turn a reference recording into a voiceprint."""
    from halfsecond_export.voice.exporting import KokoroRequest, Request, make_voiceprint

    if not _NAME.fullmatch(name):
        raise ConfigError(f"--name is {name!r}; letters, digits, '_', '-' and '.' make a name")
    if engine and encoder:
        raise ConfigError("--engine kokoro and --encoder make two voiceprints; give one of them")
    store = Store.default(home)
    target = out or store.home / "artifacts" / "voices" / f"{name}{SUFFIX}"
    request = Request(
        reference=reference,
        name=name,
        consent=consent,
        vad=store.path("silero-vad"),
        encoder=store.path("speaker-encoder"),
        denoiser=open_denoiser(denoiser),
        today=date.today(),  # noqa: DTZ011  (the day where the user is)
        coqui=None
        if encoder is None
        else (encoder, encoder_config or encoder.with_name("config_se.json")),
        kokoro=KokoroRequest(store.path("kokoro"), language, steps) if engine else None,
    )
    with (
        extra_packages("voice --engine"),
        progress_bar(Console(stderr=True)) as progress,
        written_to(target),
    ):
        voiceprint = make_voiceprint(request, progress=progress)
        write_voiceprint(target, voiceprint)
    provenance = voiceprint.provenance
    assert provenance is not None
    if as_json:
        facts = {"file": str(target), "name": name, "encoder": voiceprint.encoder}
        typer.echo(msgspec.json.format(msgspec.json.encode(facts | asdict(provenance)), indent=2))
        return
    cleaned = f"cleaned by {provenance.denoiser}" if provenance.denoiser else "not denoised"
    typer.echo(
        f"wrote {target}: {provenance.used_s} s of speech in {provenance.reference_s} s, "
        f"{provenance.signal_to_noise_db} dB above the noise, {cleaned}; encoder "
        f"{voiceprint.encoder}"
    )
    if provenance.likeness:
        typer.echo(
            f"what it says is {provenance.likeness} like the recording (cosine by Resemblyzer; "
            "another recording of one person has some 0.85, of two people 0.57)"
        )
