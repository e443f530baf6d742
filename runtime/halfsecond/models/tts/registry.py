"""The voices by name. To add one, write its file beside this one and add its line below."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from halfsecond.errors import ConfigError
from halfsecond.models.tts.hibari import open_hibari
from halfsecond.models.tts.voice import Voice


class VoiceOpener(Protocol):
    def __call__(self, directory: Path, speaker: str, *, threads: int, seed: int) -> Voice:
        """The voice from the files in `directory`; an empty `speaker` is the engine's default."""
        ...


VOICES: dict[str, VoiceOpener] = {
    "hibari": open_hibari,
}
"""Engines by name; an engine's files are in the catalog under the same name."""


def open_voice(name: str, directory: Path, *, threads: int = 1, seed: int = 0) -> Voice:
    """The voice called `name`, loaded and warmed up.

    Args:
        name: an engine, or an engine and one of its speakers: "hibari", "kokoro/zf_xiaobei".
        directory: where the engine's model files are.
        seed: the same seed and clause give the same samples.

    Raises:
        ConfigError: no such engine or speaker; the message lists those there are.
        ModelMissingError, ModelCorruptError: the files are not there, or cannot be read.
    """
    engine, speaker = engine_and_speaker(name)
    return VOICES[engine](directory, speaker, threads=threads, seed=seed)


def engine_and_speaker(name: str) -> tuple[str, str]:
    """The two parts of a voice's name; the speaker is empty if the name has none.

    Raises:
        ConfigError: there is no such engine.
    """
    engine, _, speaker = name.partition("/")
    if engine not in VOICES:
        raise ConfigError(
            f'there is no voice "{name}"; the voices are {", ".join(sorted(VOICES))}, '
            'with a speaker after a slash where there are several, such as "kokoro/af_heart"'
        )
    return engine, speaker
