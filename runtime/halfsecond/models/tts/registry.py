"""The voices by name. To add one, write its file beside this one and add its line below."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from halfsecond.errors import ConfigError
from halfsecond.models.tts.hibari import open_hibari
from halfsecond.models.tts.kokoro import open_kokoro
from halfsecond.models.tts.voice import Voice
from halfsecond.sessions import Device
from halfsecond.voiceprint import Voiceprint


class VoiceOpener(Protocol):
    """Opens the voice of one engine."""

    def __call__(
        self,
        directory: Path,
        speaker: str,
        *,
        threads: int,
        seed: int,
        device: Device,
        voiceprint: Voiceprint | None,
    ) -> Voice:
        """The voice from the files in `directory`; an empty speaker is the engine's default.

        device: "auto" means what the engine's files are made for.
        voiceprint: of whom it speaks as; an engine that cannot refuses it.
        """
        ...


VOICES: dict[str, VoiceOpener] = {
    "hibari": open_hibari,
    "kokoro": open_kokoro,
}
"""Engines by name; an engine's files are in the catalog under the same name."""


def open_voice(
    engine: str,
    directory: Path,
    *,
    speaker: str = "",
    threads: int = 1,
    seed: int = 0,
    device: Device = "auto",
    voiceprint: Voiceprint | None = None,
) -> Voice:
    """The voice of an engine, loaded and warmed up.

    Args:
        engine: one of `VOICES`.
        directory: where the engine's model files are.
        speaker: one of the engine's speakers, such as "zf_xiaobei"; empty takes its default.
        seed: the same seed and clause give the same samples.
        voiceprint: of whom it speaks as, where the engine can.

    Raises:
        ConfigError: no such engine or speaker (the message lists those there are), or a voiceprint
            for an engine with fixed speakers.
        UnsupportedModelError: a voiceprint that was made for another engine.
        ModelMissingError, ModelCorruptError: the files are not there, or cannot be read.
    """
    if engine not in VOICES:
        raise ConfigError(f'there is no voice "{engine}"; the voices are {", ".join(VOICES)}')
    opener = VOICES[engine]
    return opener(
        directory, speaker, threads=threads, seed=seed, device=device, voiceprint=voiceprint
    )
