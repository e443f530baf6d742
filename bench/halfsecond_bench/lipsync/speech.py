"""What the face says while it is judged: known words with known sounds, and silence between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halfsecond import audio
from halfsecond.config import Config
from halfsecond.errors import ConfigError
from halfsecond.models.lipsync.driver import LIPSYNC_RATE_HZ
from halfsecond.models.tts.voice import SPEECH_RATE_HZ, Phone, Voice
from halfsecond.stages import openers
from halfsecond.store import Store

SENTENCES = (
    "Please bring my mother a bowl of warm blueberry soup.",
    "We have five new photographs of the moon, and a very old map.",
    "Papa told Bob about the two blue shoes, but who saw them?",
    "The museum opens at nine in the morning, and the show starts at two o'clock.",
)
"""Every English vowel and viseme, and 22 times p, b or m."""
PAUSE_S = 1.2
"""Silence after each: long enough for the mouth to close and to be seen closed."""
RECORDINGS = ("librivox-0870.flac", "jfk.flac")
"""People, without phoneme times: read and spoken."""


@dataclass(frozen=True)
class Speech:
    """Sound to speak, from one voice."""

    voice: str
    samples: NDArray[np.float32]
    """(n,) mono at LIPSYNC_RATE_HZ."""
    phones: tuple[Phone, ...] = ()
    """With times from the first sample; none where the voice tells none."""

    @property
    def length_s(self) -> float:
        """How long it lasts."""
        return len(self.samples) / LIPSYNC_RATE_HZ


def spoken_by(voice: Voice, name: str) -> Speech:
    """The sentences, with silence after each."""
    parts: list[NDArray[np.float32]] = []
    phones: list[Phone] = []
    at_s = 0.0
    for sentence in SENTENCES:
        for chunk in voice.speak(sentence):
            heard = audio.resample(chunk.samples, from_hz=SPEECH_RATE_HZ, to_hz=LIPSYNC_RATE_HZ)
            phones += [
                replace(phone, start_s=phone.start_s + at_s, end_s=phone.end_s + at_s)
                for phone in chunk.phones
            ]
            parts.append(heard)
            at_s += len(heard) / LIPSYNC_RATE_HZ
        parts.append(np.zeros(int(PAUSE_S * LIPSYNC_RATE_HZ), np.float32))
        at_s += len(parts[-1]) / LIPSYNC_RATE_HZ
    return Speech(name, np.concatenate(parts), tuple(phones))


def recorded(folder: Path) -> Speech:
    """People's voices, one after the other with silence between."""
    silence = np.zeros(int(PAUSE_S * LIPSYNC_RATE_HZ), np.float32)
    parts = [part for name in RECORDINGS for part in (audio.load(folder / name).samples, silence)]
    return Speech("people", np.concatenate(parts))


def speeches(config: Config, store: Store, clips: Path, voices: Sequence[str]) -> list[Speech]:
    """What is said, by the names of the voices: models of the catalog (`kokoro/bf_emma` for one of
    its voices), or "people".

    Raises:
        ConfigError: there is no such voice.
        ModelError: its model is not fetched.
    """
    found = []
    for name in voices:
        if name == "people":
            found.append(recorded(clips))
            continue
        model, _, speaker = name.partition("/")
        if store.catalog.entry(model).stage != "tts":
            raise ConfigError(f"{model!r} is no voice; `halfsecond models list` shows those")
        section = replace_voice(config, model, speaker)
        voice = openers.open_voice(section.tts, store.path(model))
        found.append(spoken_by(voice, name))
        voice.close()
    return found


def replace_voice(config: Config, model: str, speaker: str) -> Config:
    """The config with this voice."""
    import msgspec

    tts = msgspec.structs.replace(config.tts, model=model, voice=speaker)
    return msgspec.structs.replace(config, tts=tts)
