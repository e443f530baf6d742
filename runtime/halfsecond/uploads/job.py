"""What a worker is given, and what it gives back."""

from __future__ import annotations

from typing import Literal

import msgspec

Kind = Literal["portrait", "voice"]


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A visitor's file, and how it is to be looked at."""

    kind: Kind
    data: bytes
    consent: str = ""
    """Who agreed that the voice is used, and when."""
    today: str = ""
    """The day, as YYYY-MM-DD."""
    models: dict[str, str] = {}
    """Verified directories, by the catalog's names."""
    size: tuple[int, int] = (512, 512)
    """(width, height) of the session's pictures."""
    most_megapixels: float = 50.0


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it."""

    product: bytes = b""
    """A packed avatar, or a voiceprint as its file has it; empty where nothing was made."""
    reason: str = ""
    """Why nothing was made, for a program: a reason of docs/wire.md."""
    message: str = ""
    """For a person: what is wrong and what to do about it; or what would be better."""
