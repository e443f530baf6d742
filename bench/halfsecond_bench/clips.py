"""The recorded clips that tests and benchmarks hear, as `clips.toml` lists them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

import msgspec

from halfsecond.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

RATE_HZ = 16_000


class Clip(msgspec.Struct, frozen=True, kw_only=True):
    """One recording."""

    file: str
    transcript: str
    language: str
    kind: Literal["real", "synthetic", "backchannel", "interruption", "noise", "silence"]
    origin: str
    licence: str
    last_speech_sample: int | None = None
    """Just after the last speech; label.py holds the rule."""
    answer_contains: list[str] = []
    """A true answer from the demonstration's facts has one of these in it; empty: no question."""
    made: dict[str, str | float] = {}
    """What a synthetic clip was made from."""
    folder: Path = Path()

    @property
    def path(self) -> Path:
        """Where the recording is."""
        return self.folder / self.file

    @property
    def last_speech_s(self) -> float:
        """The label in seconds from the start of the clip."""
        if self.last_speech_sample is None:
            raise ConfigError(f"{self.file} has no label of its last speech sample")
        return self.last_speech_sample / RATE_HZ

    def is_answered_by(self, answer: str) -> bool:
        """Whether an answer holds one of the words that make it true."""
        return any(word.lower() in answer.lower() for word in self.answer_contains)


def default_folder() -> Path:
    """The clips of the checkout that this package is part of."""
    return Path(__file__).resolve().parents[2] / "tests" / "clips"


def load_clips(folder: Path) -> list[Clip]:
    """All clips of a folder with a `clips.toml`; raises ConfigError when it has none."""
    listing = folder / "clips.toml"
    try:
        table = tomllib.loads(listing.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(
            f"there is no {listing}; give the folder of the clips with --clips"
        ) from error
    clips = msgspec.convert(table["clip"], list[Clip])
    return [msgspec.structs.replace(clip, folder=folder) for clip in clips]


def questions(clips: list[Clip], *, language: str = "en") -> list[Clip]:
    """The clips that ask, without a pause inside, what the demonstration's facts answer."""
    asked = [clip for clip in clips if clip.answer_contains and clip.language == language]
    return [clip for clip in asked if "pause_s" not in clip.made]


def real_speech(clips: list[Clip], *, language: str = "en") -> list[Clip]:
    """The clips of recorded people."""
    return [clip for clip in clips if clip.kind == "real" and clip.language == language]


def interruptions(clips: list[Clip]) -> list[Clip]:
    """The clips that stop an answer when they are said over it: commands, and questions."""
    return [c for c in clips if c.kind == "interruption"] + questions(clips)


def false_alarms(clips: list[Clip]) -> list[Clip]:
    """The clips that must not: coughs, clicks, what listeners say."""
    return [c for c in clips if c.kind in ("backchannel", "noise")]
