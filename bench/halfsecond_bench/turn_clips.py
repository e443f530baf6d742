"""The clips of the turn-end data set: sentences with pauses inside, and a label for each pause.

`tests/clips/turns/` holds the sentences, and the pauses that people made in the recorded clips. The
sound of the sentences and its labels are made on demand: see turn_cache.py and turn_speech.py.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from halfsecond.audio import load
from halfsecond.errors import ConfigError
from halfsecond.strict_toml import load_toml
from halfsecond_bench.clips import Clip

Half: TypeAlias = Literal["tuning", "test"]
HALVES: tuple[Half, ...] = ("tuning", "test")
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
    half: Half | None
    """None for the recordings of people, which belong to neither."""
    way: Way
    text: str
    voice: str
    last_speech_sample: int
    pauses: list[Pause] = []


class SentenceList(msgspec.Struct, frozen=True):
    """The sentences of one half."""

    paused: list[str]
    whole: list[str]


class Sentences(msgspec.Struct, frozen=True):
    """The file `sentences.toml`."""

    voices: dict[Half, list[str]]
    tuning: SentenceList
    test: SentenceList


class RealPauses(msgspec.Struct, frozen=True):
    """A recording with its pauses."""

    file: str
    pauses: list[Pause]


class Recordings(msgspec.Struct, frozen=True):
    """The file `real.toml`."""

    clip: list[RealPauses]


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


def orders(folder: Path, half: Half) -> list[Order]:
    """The synthetic clips of a half that `sentences.toml` asks for; a sentence with pauses gives
    two."""
    return list(_orders(load_toml(folder / "sentences.toml", Sentences), half))


def recordings(
    clips: Sequence[Clip], folder: Path
) -> Iterator[tuple[TurnClip, NDArray[np.float32]]]:
    """The recordings of people with pauses inside, 16 kHz mono.

    Raises:
        ConfigError: `real.toml` names a clip that is not in `clips.toml`.
    """
    by_file = {clip.file: clip for clip in clips}
    for real in load_toml(folder / "real.toml", Recordings).clip:
        if (clip := by_file.get(real.file)) is None:
            raise ConfigError(f"{folder / 'real.toml'} names {real.file}, which clips.toml lacks")
        samples = load(clip.path).samples
        yield (
            TurnClip(
                name=clip.path.stem, half=None, way="real", text=clip.transcript, voice="",
                last_speech_sample=clip.last_speech_sample or len(samples), pauses=real.pauses,
            ),
            samples,
        )  # fmt: skip


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
