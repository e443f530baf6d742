"""Voices of the VITS family (Piper, Coqui VITS, YourTTS), as `halfsecond export tts` leaves them.

The front turns the whole clause into latent frames at once; the back makes sound of them window by
window, so that the first is heard while the rest is computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halfsecond.errors import ConfigError
from halfsecond.models.tts.levels import gain_for
from halfsecond.models.tts.normalize import plain_text
from halfsecond.models.tts.pauses import pause_after_s
from halfsecond.models.tts.phones import PAD, is_spoken, phones_from_durations
from halfsecond.models.tts.pieces import portions, speech_pieces
from halfsecond.models.tts.speech_stream import SpeechStream
from halfsecond.models.tts.vits_config import VitsConfig, check_voiceprint, read_config
from halfsecond.models.tts.vits_network import Frames, VitsNetwork
from halfsecond.models.tts.vits_symbols import (
    Spelled,
    SymbolTable,
    chosen_language,
    open_phonemizer,
)
from halfsecond.models.tts.voice import Phone, SpeechChunk
from halfsecond.models.tts.windows import windows
from halfsecond.sessions import Device
from halfsecond.voiceprint import Voiceprint

_REFERENCE = "Hello there, and welcome to the museum. How may I help you today?"
"""Spoken when the voice is opened: warms the engines up and sets the gain."""


class VitsVoice:
    """One exported voice. One thread at a time."""

    def __init__(
        self,
        directory: Path,
        *,
        speaker: str = "",
        language: str = "",
        voiceprint: Voiceprint | None = None,
        threads: int = 1,
        seed: int = 0,
        device: Device = "cpu",
    ) -> None:
        """Loads the voice and speaks once, so that the first turn is as fast as the next.

        Args:
            speaker: one of the voice's speakers; empty takes the first.
            language: one of its languages; empty takes the first.
            voiceprint: of whom it speaks as, for a voice that wants one.
            seed: of the noise; the same clause gives the same samples.
            device: of the back; the front stays on the CPU.

        Raises:
            ConfigError: no such speaker or language, or a voiceprint that is missing, not wanted,
                or of another size.
            UnsupportedModelError: the voiceprint is of another speaker encoder.
            NoGpuError: an engine, or "cuda", without a GPU.
            ModelMissingError, ModelCorruptError: a file is not there, or cannot be read.
            UnsupportedModelError: it wants phonemes of a language that nothing here reads.
        """
        self._config = config = read_config(directory)
        self.language = chosen_language(config, language).lower().split("-")[0]
        chosen = chosen_language(config, language)
        self._language = config.languages.index(chosen) if config.languages else 0
        self._speaker = _speaker_number(config, speaker)
        self.name = f"{config.name}/{speaker}" if speaker else config.name
        self.voiceprint = voiceprint
        self._phonemize = open_phonemizer(config, chosen)
        self._table = SymbolTable(config)
        self._network = VitsNetwork(directory, config, threads=threads, device=device)
        self._seed = seed
        self._gain = 1.0
        self._gain = gain_for(self._reference())

    @property
    def voiceprint(self) -> Voiceprint | None:
        """Of whom it speaks as; another may be set between two clauses, and nothing is loaded."""
        return self._voiceprint

    @voiceprint.setter
    def voiceprint(self, voiceprint: Voiceprint | None) -> None:
        check_voiceprint(self._config, voiceprint)
        self._voiceprint = voiceprint

    def speak(self, clause: str, *, speed: float = 1.0) -> Iterator[SpeechChunk]:
        """See `Voice.speak`."""
        for piece in speech_pieces(clause):
            text = piece
            parts = portions(self._phonemize(plain_text(piece)))
            for index, symbols in enumerate(parts):
                is_last = index + 1 == len(parts)
                pause_s = pause_after_s(piece) / speed if is_last else 0.0
                for chunk in self._streamed(symbols, text, speed=speed, pause_s=pause_s):
                    yield chunk
                    text = ""

    def close(self) -> None:
        """Lets the engines go; the voice cannot speak afterwards."""
        self._network.close()

    def _streamed(
        self, symbols: str, text: str, *, speed: float, pause_s: float
    ) -> Iterator[SpeechChunk]:
        config = self._config
        spelled = self._table.spell(symbols)
        if not any(map(is_spoken, "".join(spelled.symbols))):
            return
        frames = self._frames(spelled, speed)
        lengths = np.bincount(spelled.owners, frames.durations, len(spelled.symbols))
        frame_s = config.hop_samples / config.sample_rate_hz
        phones: tuple[Phone, ...] = ()
        if config.writing != "graphemes":
            phones = phones_from_durations([s or PAD for s in spelled.symbols], lengths * frame_s)
        stream = SpeechStream(
            rate_hz=config.sample_rate_hz,
            gain=self._gain,
            phones=phones,
            pause_s=pause_s,
            text=text,
        )
        seams = [int(seam) for seam in np.cumsum(lengths)]
        for window in windows(
            frames.count,
            frame_s=frame_s,
            context=config.context_frames,
            seams=seams,
            lead=seams[0],
        ):
            samples = self._network.sound(frames, window)
            chunk = stream.push(samples, is_last=window.last == frames.count)
            if chunk is not None:
                yield chunk

    def _frames(self, spelled: Spelled, speed: float) -> Frames:
        voiceprint = self._voiceprint
        return self._network.frames(
            spelled.ids,
            rng=np.random.default_rng(self._seed),
            speed=speed,
            speaker=self._speaker,
            language=self._language,
            voiceprint=None if voiceprint is None else voiceprint.values,
        )

    def _reference(self) -> NDArray[np.float32]:
        chunks = [chunk.samples for chunk in self.speak(_REFERENCE)]
        return np.concatenate(chunks) if chunks else np.zeros(0, np.float32)


def _speaker_number(config: VitsConfig, speaker: str) -> int:
    if not speaker:
        return 0
    if speaker not in config.speakers:
        known = ", ".join(config.speakers[:20]) or "one, without a name"
        raise ConfigError(f'{config.name} has no speaker "{speaker}"; the speakers are {known}')
    return config.speakers.index(speaker)
