"""What the models know in each pause of a clip, and from when on: recorded once, so that any number
of policies can be tried on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from halfsecond.audio import RATE_HZ
from halfsecond.config import Config
from halfsecond.models.asr.whisper import Whisper
from halfsecond.models.llm.persona import up_to_question
from halfsecond.models.turn.smart_turn import SmartTurn
from halfsecond.models.vad.loudness import Loudness, SoundFell, SoundRose
from halfsecond.models.vad.segmenter import (
    Segmenter,
    SegmenterConfig,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
)
from halfsecond.models.vad.silero import WINDOW_SAMPLES, SileroVad
from halfsecond.stages import openers
from halfsecond.store import Store
from halfsecond_bench.turn_clips import TurnClip

BLOCK_SAMPLES = RATE_HZ // 50
"""A microphone's block: what is in it is known when it is complete."""
LONGEST_S = 28.0

_T = TypeVar("_T")


class Opinion(msgspec.Struct, frozen=True, kw_only=True):
    """What each model says in a pause, and how long it took on this machine."""

    text: str
    """The words, from the audio up to where they are asked for."""
    text_s: float
    completeness: float
    """Smart Turn's probability at `paused_sample`."""
    completeness_s: float
    sentence_end: float | None
    """The answerer's, of the words; asked for when they are known."""
    sentence_end_s: float


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """A silence that the server sees, in samples of the stream at 16 kHz."""

    last_sample: int
    """Where it takes the last speech to have ended."""
    fell_sample: int | None
    """When it sees the fall of loudness at which words are asked for; None: before the pause it
    sees none."""
    paused_sample: int
    """When voice activity shows the pause: decisions begin."""
    resumed_sample: int | None
    """When voice activity shows that the visitor goes on; None: never."""
    opinion: Opinion


class Trace(msgspec.Struct, frozen=True):
    """A clip and its silences."""

    clip: TurnClip
    silences: list[Silence]


class Pauses(msgspec.Struct, frozen=True):
    """Where sound and speech stop and go on in a stream, without anybody's opinion."""

    from_sample: int
    last_sample: int
    fell_sample: int | None
    paused_sample: int
    resumed_sample: int | None


class Judges:
    """The models that say what a pause means, as the server opens them."""

    def __init__(self, config: Config, store: Store) -> None:
        """Loads them; raises ModelMissingError."""
        asr = config.asr
        self._turn = config.turn
        self._thresholds = config.vad
        self._vad = SileroVad(store.path(config.vad.model) / "silero_vad.onnx")
        self._recognizer = Whisper(
            store.path(asr.model), threads=asr.threads, margin_s=asr.margin_s, device=asr.device
        )
        self._smart_turn = SmartTurn(store.path(config.endpoint.model) / "smart-turn-v3.2-cpu.onnx")
        directory = store.path(config.llm.model) if config.llm.kind == "local" else None
        self._answerer = openers.open_answerer(config.llm, directory)
        self._persona = openers.open_persona(config)
        self._language = config.language

    def trace(self, clip: TurnClip, samples: NDArray[np.float32]) -> Trace:
        """The clip heard once, block after block."""
        pauses = find_pauses(samples, self._probabilities(samples), self._segmenter())
        silences = [
            Silence(
                last_sample=pause.last_sample,
                fell_sample=pause.fell_sample,
                paused_sample=pause.paused_sample,
                resumed_sample=pause.resumed_sample,
                opinion=self._opinion(samples, pause),
            )
            for pause in pauses
        ]
        return Trace(clip, silences)

    def close(self) -> None:
        """Frees the models."""
        self._recognizer.close()
        self._answerer.close()

    def _probabilities(self, samples: NDArray[np.float32]) -> list[float]:
        self._vad.reset()
        return self._vad.push(samples)

    def _segmenter(self) -> Segmenter:
        """As in a session, but for silences that never end an utterance: a policy shall."""
        return Segmenter(
            SegmenterConfig(
                on_probability=self._thresholds.onset,
                off_probability=self._thresholds.offset,
                min_speech_s=self._turn.min_speech_s,
                pause_s=self._turn.pause_s,
                silence_s=LONGEST_S - 1,
                max_utterance_s=LONGEST_S,
            )
        )

    def _opinion(self, samples: NDArray[np.float32], pause: Pauses) -> Opinion:
        asked_at = pause.paused_sample if pause.fell_sample is None else pause.fell_sample
        heard = samples[pause.from_sample : asked_at]
        whole = samples[pause.from_sample : pause.paused_sample]
        words_s, words = _timed(
            lambda: self._recognizer.transcribe(heard, language=self._language).text
        )
        completeness_s, completeness = _timed(lambda: self._smart_turn.probability(whole))
        asked = up_to_question(self._persona, [], words)
        sentence_end_s, sentence_end = _timed(lambda: self._answerer.sentence_end(asked))
        return Opinion(
            text=words, text_s=words_s,
            completeness=completeness, completeness_s=completeness_s,
            sentence_end=sentence_end, sentence_end_s=sentence_end_s,
        )  # fmt: skip


def find_pauses(
    samples: NDArray[np.float32], probabilities: list[float], segmenter: Segmenter
) -> list[Pauses]:
    """The pauses that a session sees, each when the block that shows it is complete.

    samples: (n,) mono 16 kHz; probabilities: of its windows of 512 samples.
    """
    falls = list(_falls(samples))
    found: list[Pauses] = []
    from_sample = 0
    for number, probability in enumerate(probabilities, start=1):
        known_at = _block_end(number * WINDOW_SAMPLES)
        for event in segmenter.push(probability):
            if isinstance(event, SpeechStarted):
                from_sample = event.from_sample
            elif isinstance(event, SpeechPaused):
                fell = _fall_before(falls, known_at)
                found.append(Pauses(from_sample, event.last_sample, fell, known_at, None))
            elif isinstance(event, SpeechResumed):
                found[-1] = msgspec.structs.replace(found[-1], resumed_sample=known_at)
    return found


def _falls(samples: NDArray[np.float32]) -> Iterator[tuple[int, bool]]:
    """When the loudness is seen to fall (True) and to rise (False)."""
    loudness = Loudness()
    for begin in range(0, len(samples), BLOCK_SAMPLES):
        block = samples[begin : begin + BLOCK_SAMPLES]
        for event in loudness.push(block):
            assert isinstance(event, SoundFell | SoundRose)
            yield begin + len(block), isinstance(event, SoundFell)


def _fall_before(falls: list[tuple[int, bool]], sample: int) -> int | None:
    """The newest fall that no rise has followed until then."""
    known = [fall for fall in falls if fall[0] <= sample]
    return known[-1][0] if known and known[-1][1] else None


def _block_end(sample: int) -> int:
    return -(-sample // BLOCK_SAMPLES) * BLOCK_SAMPLES


def _timed(call: Callable[[], _T]) -> tuple[float, _T]:
    started_s = time.perf_counter()
    result = call()
    return time.perf_counter() - started_s, result
