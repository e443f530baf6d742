"""What Kokoro's 54 speakers are like: where a fit begins, and how far voices lie apart.

kokoro_speakers.npz holds, of each speaker of Kokoro-82M v1.0 (Apache-2.0, hexgrad): the mean of the
style vectors for 20 to 80 phonemes, the voice that Resemblyzer hears in one sentence spoken with
it, and its pitch. `measure_kokoro_speakers` made them, from the voices in the package kokoro-js
1.2.1 of npm.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halfsecond import audio
from halfsecond.models.speaker.encoder import MODEL_FILE, SpeakerEncoder
from halfsecond.models.tts.english import EnglishPhonemizer
from halfsecond.models.tts.kokoro import KOKORO_FILE, network_inputs, read_styles
from halfsecond.models.tts.voice import SPEECH_RATE_HZ
from halfsecond.sessions import open_session
from halfsecond_export.voice.pitch import typical_pitch_hz

TIMBRE = 128
"""The first half of a style is what the decoder hears, the second what durations and pitch do."""
_FILE = "kokoro_speakers.npz"
_SENTENCE = "Welcome, I am happy to show you around the house today."
_USUAL_PHONEMES = slice(20, 80)
_SOFT = 0.01
"""Amplitude; what is softer before and after the sentence is cut off."""
_LEAST_VARIANCE = 1e-4
"""Added to each direction of a style, in which speakers differ by 0.016 on average: 54 speakers
span 53 of 128 directions, and a new voice may need the others."""
_OCTAVE_COST = 0.35
"""Cosine that a speaker is worth less for each octave that it lies beside the wanted pitch. Higher,
a man who shouts is begun as a woman (the president of `tests/clips`: 258 Hz)."""
_LANGUAGES = {"en": ("a", "b"), "zh": ("z",)}


@dataclass(frozen=True)
class KokoroSpeakers:
    """Rows belong together."""

    names: tuple[str, ...]
    styles: NDArray[np.float32]
    """(54, 256)"""
    voices: NDArray[np.float32]
    """(54, 256) of Resemblyzer, unit length."""
    pitches_hz: NDArray[np.float32]

    def nearest(
        self, voice: NDArray[np.float32], pitch_hz: float, *, language: str | None = None
    ) -> int:
        """The row that sounds most like a voice and is about as high, of a language or of all."""
        score = self.voices @ voice
        if pitch_hz:
            score = score - _OCTAVE_COST * np.abs(np.log2(self.pitches_hz / pitch_hz))
        if language is not None:
            is_spoken = [name.startswith(_LANGUAGES[language]) for name in self.names]
            score = np.where(is_spoken, score, -np.inf)
        return int(np.argmax(score))

    def timbres(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean (128,) and spread (128, 128): mean + spread @ normal numbers is a likely timbre."""
        halves = self.styles[:, :TIMBRE].astype(np.float64)
        covariance = np.cov(halves.T) + _LEAST_VARIANCE * np.eye(TIMBRE)
        variances, directions = np.linalg.eigh(covariance)
        spread = (directions * np.sqrt(variances)) @ directions.T
        return halves.mean(axis=0).astype(np.float32), spread.astype(np.float32)


def read_kokoro_speakers() -> KokoroSpeakers:
    """The speakers, from the file beside this one."""
    with np.load(Path(__file__).with_name(_FILE)) as stored:
        return KokoroSpeakers(
            names=tuple(str(name) for name in stored["names"]),
            styles=stored["styles"].astype(np.float32),
            voices=stored["voices"].astype(np.float32),
            pitches_hz=stored["pitches_hz"].astype(np.float32),
        )


def measure_kokoro_speakers(kokoro: Path, encoder: Path, voices: Path) -> KokoroSpeakers:
    """The speakers whose style vectors (`NAME.bin`) lie in `voices`, each heard in one sentence.

    kokoro, encoder: directories of the catalog's `kokoro` and `speaker-encoder`.
    """
    session, heard = open_session(kokoro / KOKORO_FILE), SpeakerEncoder(encoder / MODEL_FILE)
    phonemes = EnglishPhonemizer(is_british=False)(_SENTENCE)
    names, styles, embedded, pitches_hz = list[str](), [], [], list[float]()
    for path in sorted(voices.glob("*.bin")):
        style = read_styles(path)[_USUAL_PHONEMES].mean(axis=0)
        spoken = session.run(network_inputs(phonemes, style[None]))["audio"].reshape(-1)
        samples = audio.resample(spoken, from_hz=SPEECH_RATE_HZ, to_hz=audio.RATE_HZ)
        loud = np.flatnonzero(np.abs(samples) > _SOFT)
        samples = samples[loud[0] : loud[-1] + 1]
        names.append(path.stem)
        styles.append(style)
        embedded.append(heard.embed(samples))
        pitches_hz.append(typical_pitch_hz(samples))
    session.close()
    return KokoroSpeakers(
        tuple(names), np.stack(styles), np.stack(embedded), np.array(pitches_hz, np.float32)
    )


def write_kokoro_speakers(path: Path, speakers: KokoroSpeakers) -> None:
    """Writes the file that `read_kokoro_speakers` reads."""
    np.savez_compressed(
        path,
        names=np.array(speakers.names),
        styles=speakers.styles.astype(np.float16),
        voices=speakers.voices.astype(np.float16),
        pitches_hz=speakers.pitches_hz.astype(np.float16),
    )
