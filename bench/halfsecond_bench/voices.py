"""Every voice reads the same texts: what is heard, who it sounds like, how fast and how loud."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from halfsecond import audio
from halfsecond.errors import HalfsecondError
from halfsecond.models.asr.whisper import Whisper
from halfsecond.models.speaker.encoder import MODEL_FILE, SpeakerEncoder
from halfsecond.models.tts.levels import speech_level_db
from halfsecond.models.tts.registry import open_voice
from halfsecond.models.tts.voice import SPEECH_RATE_HZ, Voice
from halfsecond.store import Store
from halfsecond_bench.han import character_errors
from halfsecond_bench.speakers import SpeakerFigures, compare_speakers
from halfsecond_bench.statistics import (
    Distribution,
    device,
    distribution,
    versions,
    wilson_interval,
)
from halfsecond_bench.voice_texts import MIXED, READINGS, SENTENCES
from halfsecond_bench.wer import WordErrors, word_errors

Samples = NDArray[np.float32]
PROMPTS = {"zh": "以下是普通话的句子。"}
"""Has Whisper write the characters of the mainland, and punctuation."""
ONE_PERSON = {"hibari": "kokoro/af_heart"}
"""hibari learnt its voice from Kokoro's af_heart: their cosine is 0.99, and it should be."""
_QUIET_S = 0.25
"""Around what Whisper hears, as a microphone would have it."""


class ErrorRate(msgspec.Struct, frozen=True):
    """Errors per word, or per character of Chinese, with its 95 % interval (Wilson)."""

    rate: float
    low: float
    high: float
    errors: int
    n: int


class Misread(msgspec.Struct, frozen=True):
    """A text that was not heard as it should be read."""

    written: str
    heard: str


class Readings(msgspec.Struct, frozen=True):
    """Texts of which what matters was heard."""

    right: int
    n: int
    wrong: list[Misread]


class VoiceFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One voice.

    `first_chunk_ms` is until the first sound of a sentence, `real_time_factor` of whole sentences;
    `level_dbfs` is of speech without its pauses, one value a sentence.
    """

    voice: str
    language: str
    words: ErrorRate
    heard: list[Misread]
    readings: Readings
    mixed: Readings | None
    first_chunk_ms: Distribution
    real_time_factor: Distribution
    level_dbfs: Distribution
    level_spread_db: float


class VoicesReport(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="voices"):
    """The result of `bench voices`."""

    device: str
    versions: dict[str, str]
    recognizer: str
    voices: list[VoiceFigures]
    speakers: SpeakerFigures
    loudness_apart_db: float
    """Between the loudest voice and the quietest, by their medians."""


@dataclass
class _Spoken:
    """What one voice said: samples at 24 kHz by text, and how long it took."""

    samples: dict[str, Samples] = field(default_factory=dict)
    first_ms: list[float] = field(default_factory=list)
    factors: list[float] = field(default_factory=list)


def available_voices(store: Store) -> list[str]:
    """Every voice whose model is here, as "engine" or "engine/speaker"."""
    found = []
    with suppress(HalfsecondError):
        store.path("hibari")
        found.append("hibari")
    with suppress(HalfsecondError):
        speakers = sorted((store.path("kokoro") / "voices").glob("*.bin"))
        found += [f"kokoro/{speaker.stem}" for speaker in speakers]
    return found


def measure(
    store: Store,
    voices: Sequence[str],
    people: Mapping[str, Sequence[Samples]],
    *,
    recognizer: str,
    threads: int,
    sentences: int | None = None,
    progress: Callable[[], None] = lambda: None,
) -> VoicesReport:
    """Measures one voice after another; nothing else should run meanwhile.

    people: recordings of real speakers, mono 16 kHz, to compare voices with.
    sentences: of each language, the first so many; all without it.
    """
    whisper = Whisper(store.path(recognizer), threads=threads)
    encoder = SpeakerEncoder(store.path("speaker-encoder") / MODEL_FILE)
    figures: list[VoiceFigures] = []
    embedded = {name: [encoder.embed(clip) for clip in clips] for name, clips in people.items()}
    for name in voices:
        voice = _open(store, name, threads)
        spoken = _speak(voice, sentences)
        figures.append(_judge(name, voice.language, spoken, whisper, sentences))
        plain = SENTENCES[voice.language][:sentences]
        embedded[name] = [encoder.embed(_heard_rate(spoken.samples[text])) for text in plain]
        voice.close()
        progress()
    encoder.close()
    whisper.close()
    levels = [row.level_dbfs.p50 for row in figures]
    return VoicesReport(
        device=device(),
        versions=versions(),
        recognizer=recognizer,
        voices=figures,
        speakers=compare_speakers(embedded, one_person=ONE_PERSON),
        loudness_apart_db=round(max(levels) - min(levels), 2),
    )


def _open(store: Store, name: str, threads: int) -> Voice:
    engine, _, speaker = name.partition("/")
    return open_voice(engine, store.path(engine), speaker=speaker, threads=threads)


def _speak(voice: Voice, sentences: int | None) -> _Spoken:
    spoken = _Spoken()
    for text in _texts(voice.language, sentences):
        started_s = time.perf_counter()
        first_s = 0.0
        chunks: list[Samples] = []
        for chunk in voice.speak(text):
            first_s = first_s or time.perf_counter() - started_s
            chunks.append(chunk.samples)
        took_s = time.perf_counter() - started_s
        samples = np.concatenate(chunks)
        spoken.samples[text] = samples
        spoken.first_ms.append(1000 * first_s)
        spoken.factors.append(took_s / (len(samples) / SPEECH_RATE_HZ))
    return spoken


def _texts(language: str, sentences: int | None) -> Iterator[str]:
    yield from SENTENCES[language][:sentences]
    yield from (written for written, _ in READINGS[language][:sentences])
    if language == "zh":
        yield from (written for written, _ in MIXED[:sentences])


def _judge(
    name: str, language: str, spoken: _Spoken, whisper: Whisper, sentences: int | None
) -> VoiceFigures:
    def heard(text: str) -> str:
        padded = np.pad(_heard_rate(spoken.samples[text]), round(_QUIET_S * audio.RATE_HZ))
        prompt = PROMPTS.get(language, "")
        return whisper.transcribe(padded, language=language, prompt=prompt).text

    def readings(cases: Sequence[tuple[str, str]]) -> Readings:
        pairs = [(written, pattern, heard(written)) for written, pattern in cases[:sentences]]
        wrong = [
            Misread(written, text)
            for written, pattern, text in pairs
            if not re.search(pattern, text.lower(), re.IGNORECASE)
        ]
        return Readings(len(pairs) - len(wrong), len(pairs), wrong)

    pairs = [(text, heard(text)) for text in SENTENCES[language][:sentences]]
    count = character_errors if language == "zh" else word_errors
    levels = [speech_level_db(spoken.samples[text]) for text, _ in pairs]
    return VoiceFigures(
        voice=name,
        language=language,
        words=_rate(count(pairs)),
        heard=[Misread(*pair) for pair in pairs if count([pair]).errors],
        readings=readings(READINGS[language]),
        mixed=readings(MIXED) if language == "zh" else None,
        first_chunk_ms=distribution(spoken.first_ms),
        real_time_factor=distribution([round(factor, 4) for factor in spoken.factors]),
        level_dbfs=distribution(levels),
        level_spread_db=round(float(np.ptp(levels)), 2),
    )


def _rate(found: WordErrors) -> ErrorRate:
    low, high = wilson_interval(min(found.errors, found.words), found.words)
    return ErrorRate(round(found.rate, 4), round(low, 4), round(high, 4), found.errors, found.words)


def _heard_rate(samples: Samples) -> Samples:
    return audio.resample(samples, from_hz=SPEECH_RATE_HZ, to_hz=audio.RATE_HZ)


def real_people(clips: Path) -> dict[str, list[Samples]]:
    """Recordings of two real speakers in the clips of the tests, none shorter than 2 s."""
    reader = [audio.load(path).samples for path in sorted(clips.glob("librivox-*.flac"))]
    president = np.array_split(audio.load(clips / "jfk.flac").samples, 3)
    return {"a reader (LibriVox)": reader, "J. F. Kennedy": list(president)}
