"""The clips of the turn-end data set: sentences with pauses inside, and a label for each pause.

`tests/clips/turns/` holds the sentences and the labels; the sound is made on demand from Kokoro's
speakers (some 30 MB, see turn_speech.py) and kept beside the models. The same labels are kept for
pauses inside the recorded clips of `tests/clips/`.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from halfsecond.errors import ConfigError
from halfsecond.strict_toml import load_toml

Half: TypeAlias = Literal["tuning", "test"]
Way: TypeAlias = Literal["apart", "within", "whole", "real"]
"""How the pauses of a clip came about: its parts were spoken apart, each with the melody of an end
(the hard case); a whole sentence was cut between two words, whose melody goes on; there are none;
or a person paused."""
Kind: TypeAlias = Literal["broken", "filler", "list", "clause", "sentence", "natural"]
"""What was said before a pause: see sentences.toml. "natural" is one that the voice or the person
made without being asked."""

MARKS: dict[str, Kind] = {
    "w": "broken", "f": "filler", "l": "list", "c": "clause", "s": "sentence",
}  # fmt: skip
_MARK = re.compile(r"\s*\|(\w)\s*")


class Pause(msgspec.Struct, frozen=True):
    """Silence inside an utterance, in samples at 16 kHz, by the rule of label.py."""

    start: int
    """Just after the last speech before it."""
    end: int
    """The first speech after it."""
    kind: Kind


class TurnClip(msgspec.Struct, frozen=True, kw_only=True):
    """One utterance with the labels of its pauses and its end."""

    name: str
    half: Half
    way: Way
    text: str
    voice: str
    last_speech_sample: int
    pauses: list[Pause] = []


class Half_(msgspec.Struct, frozen=True):  # noqa: N801
    """The sentences of one half."""

    paused: list[str]
    whole: list[str]


class Sentences(msgspec.Struct, frozen=True):
    """The file `sentences.toml`."""

    voices: dict[Half, list[str]]
    tuning: Half_
    test: Half_


@dataclass(frozen=True)
class Order:
    """What a synthetic clip is to be: made by turn_speech.py, the same each time."""

    name: str
    half: Half
    way: Way
    voice: str
    parts: tuple[str, ...]
    kinds: tuple[Kind, ...]
    """One fewer than parts."""

    @property
    def text(self) -> str:
        return " ".join(self.parts)

    @property
    def seed(self) -> int:
        return zlib.crc32(self.name.encode())


def folder_of(clips: Path) -> Path:
    """Where sentences and labels lie, in the folder of the recorded clips."""
    return clips / "turns"


def orders(path: Path) -> list[Order]:
    """All synthetic clips that `sentences.toml` asks for; a sentence with pauses gives two."""
    sentences = load_toml(path, Sentences)
    return [*_orders(sentences, "tuning"), *_orders(sentences, "test")]


def _orders(sentences: Sentences, half: Half) -> Iterator[Order]:
    voices = sentences.voices[half]
    lines = sentences.tuning if half == "tuning" else sentences.test
    ways: tuple[Way, Way] = ("apart", "within")
    for number, line in enumerate(lines.paused):
        parts, kinds = split(line)
        for offset, way in enumerate(ways):
            # Two speakers for a sentence, and each speaker with both ways.
            voice = voices[(number + offset * (len(voices) // 2)) % len(voices)]
            yield Order(f"{half}-{number + 1:02}-{way}", half, way, voice, parts, kinds)
    for number, line in enumerate(lines.whole):
        voice = voices[(number * 5 + 3) % len(voices)]
        yield Order(f"{half}-{number + 1:02}-whole", half, "whole", voice, (line,), ())


def split(line: str) -> tuple[tuple[str, ...], tuple[Kind, ...]]:
    """The parts of a marked sentence, and the kind of each pause between them.

    Raises:
        ConfigError: a mark with an unknown letter.
    """
    pieces = _MARK.split(line)
    unknown = sorted(set(pieces[1::2]) - set(MARKS))
    if unknown:
        raise ConfigError(f"{line!r} has the mark {unknown[0]!r}; known are {', '.join(MARKS)}")
    return tuple(pieces[::2]), tuple(MARKS[letter] for letter in pieces[1::2])
