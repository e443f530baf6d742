"""hibari: English at about a hundredth of real time on one core, with phoneme times.

The network predicts a spectrum, and the package's signal processing makes samples of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsecond.errors import ConfigError
from halfsecond.models.tts.english import EnglishPhonemizer
from halfsecond.models.tts.levels import amplified, gain_for
from halfsecond.models.tts.phones import (
    PAD,
    alphabet,
    phones_from_durations,
    settle,
)
from halfsecond.models.tts.pieces import spoken_pieces
from halfsecond.models.tts.voice import Phone, SpeechChunk
from halfsecond.sessions import Device, Session, open_session
from halfsecond.voiceprint import Voiceprint, refuse_voiceprint

FRAME_S = 0.025
"""The unit of the network's durations."""

_AHEAD_S = 0.05
"""The speech is this far ahead of the durations: over eight sentences, vowels, sibilants and
closures all agree best with the audio when their times are taken 47 to 60 ms earlier."""

_REFERENCE = "Hello there, and welcome to the museum. How may I help you today?"
"""Spoken when the voice is opened: warms the engine up and sets the gain."""


class HibariVoice:
    """The hibari voice. One thread at a time."""

    name = "hibari"
    language = "en"

    def __init__(
        self,
        model: Path,
        *,
        threads: int = 1,
        seed: int = 0,
        is_british: bool = False,
        device: Device = "auto",
    ) -> None:
        """Loads the voice and speaks once, so that the first turn is as fast as the next.

        Args:
            model: hibari's ONNX model; phones are given if it has the output "durations".
            threads: one is enough: the network takes some 10 ms for a short clause.
            seed: of the noise in consonants; the same clause gives the same samples.
            is_british: for hibari's British models.
            device: the model is quantised for the CPU, where "auto" leaves it.

        Raises:
            ModelMissingError: there is no file at `model`.
            ModelCorruptError: the file cannot be read.
        """
        self._session: Session = open_session(
            model, threads=threads, device="cpu" if device == "auto" else device, priority="high"
        )
        self._outputs = ["lh", "theta", "ln", "lr", "phi", "f0"]
        names = {output.name for output in self._session.outputs}
        self._has_durations = "durations" in names
        if self._has_durations:
            self._outputs.append("durations")
        self._phonemize = EnglishPhonemizer(is_british=is_british)
        self._noise = _Noise(seed)
        self._gain = 1.0
        reference, _ = self._synthesize(self._phonemize(_REFERENCE), speed=1.0)
        self._gain = gain_for(reference)

    def speak(self, clause: str, *, speed: float = 1.0) -> Iterator[SpeechChunk]:
        """See `Voice.speak`."""
        return spoken_pieces(
            clause,
            phonemize=self._phonemize,
            synthesize=lambda phonemes: self._synthesize(phonemes, speed=speed),
            speed=speed,
        )

    def close(self) -> None:
        """Lets the engine go; the voice cannot speak afterwards."""
        self._session.close()

    def _synthesize(
        self, phonemes: str, *, speed: float
    ) -> tuple[NDArray[np.float32], tuple[Phone, ...]]:
        from hibari import dsp

        table = alphabet()
        symbols = [PAD, *(symbol for symbol in phonemes if symbol in table), PAD]
        ids = [[table.get(symbol, 0) for symbol in symbols]]
        inputs: dict[str, NDArray[Any]] = {
            "ids": np.array(ids, np.int64),
            "speed": np.array([speed], np.float32),
        }
        outputs = list(self._session.run(inputs, self._outputs).values())
        lh, theta, ln, lr, phi, f0 = (part[0] for part in outputs[:6])
        samples = amplified(dsp.synth(lh, theta, ln, lr, phi, f0, self._noise), self._gain)
        if not self._has_durations:
            return samples, ()
        durations_s = outputs[6].reshape(-1) * FRAME_S
        phones = phones_from_durations(symbols, durations_s, shift_s=-_AHEAD_S)
        return samples, settle(phones, samples)


class _Noise:
    """Stands in for a random generator: every clause starts with the same noise, drawn once.

    Drawing it takes a third of the signal processing.
    """

    _PREPARED = 601 * 2 * 800
    """Enough for 10 s of speech (601 complex bins in 800 frames), as 3.8 MB."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._values = self._draw(self._PREPARED)

    def standard_normal(
        self, shape: tuple[int, int], dtype: type[np.float32]
    ) -> NDArray[np.float32]:
        """What `numpy.random.Generator.standard_normal` gives; the caller may overwrite it."""
        count = shape[0] * shape[1]
        is_prepared = count <= self._PREPARED
        values = self._values[:count].copy() if is_prepared else self._draw(count)
        return values.reshape(shape).astype(dtype, copy=False)

    def _draw(self, count: int) -> NDArray[np.float32]:
        return np.random.default_rng(self._seed).standard_normal(count, dtype=np.float32)


def open_hibari(
    directory: Path,
    speaker: str,
    *,
    threads: int,
    seed: int,
    device: Device = "auto",
    voiceprint: Voiceprint | None = None,
) -> HibariVoice:
    """The voice whose model is `hibari.onnx` in `directory` (see `VoiceOpener`)."""
    refuse_voiceprint(speaker if voiceprint is None else voiceprint, "hibari")
    if speaker not in ("", "heart"):
        raise ConfigError(f'hibari has no speaker "{speaker}"; it has one, heart')
    return HibariVoice(directory / "hibari.onnx", threads=threads, seed=seed, device=device)
