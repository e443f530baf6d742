"""Whisper: one utterance in, its words out, in as little context as it needs.

Whisper was trained on windows of 30 s, and its encoder's cost grows with the window. An utterance
of 3 s is encoded here in a window of 4 s. Alone, that makes the decoder miss the end and repeat
itself (tiny.en in 8 of 28 short clips, base in 3). So the rest of the 30 s is filled with what the
encoder says of silence, computed once: the decoder then sees the window that it knows, and stops
where it should (in all 28). Leaving out frames of that silence brings the repetition back. Guards
notice one all the same and listen again in full.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halfsecond.errors import AudioError, UnsupportedModelError
from halfsecond.models.asr.ctranslate2_whisper import Ctranslate2Network
from halfsecond.models.asr.guards import Attempt, judge, token_cap
from halfsecond.models.asr.mel import HOP_SAMPLES, RATE_HZ, log_mel
from halfsecond.models.asr.network import (
    ENCODED_PER_S,
    FULL_CONTEXT_S,
    Decoded,
    ShouldStop,
    StoppedError,
    WhisperNetwork,
    never,
)
from halfsecond.models.asr.onnx_whisper import OnnxNetwork
from halfsecond.models.asr.pair import is_in_parts, text_directory
from halfsecond.models.asr.recognizer import Transcript, Word
from halfsecond.models.asr.runtime_pair import ENCODER_NAME
from halfsecond.models.asr.speech_level import speech_after_s
from halfsecond.models.asr.tokens import Tokens
from halfsecond.models.asr.words import bare, words_after
from halfsecond.sessions import Device

CONTEXT_STEP_S = 0.5
ENCODED_SAMPLES = RATE_HZ // ENCODED_PER_S
LAST_WORD_S = 0.65
"""Speech from the beginning of the last token on that may be its own. On joined recordings it was
at most 0.55 s where all was heard, and at least 0.74 s where three short words were not."""
SILENCE_DBFS = -60.0
"""A loudest sample below this is a closed microphone: nothing is decoded."""


@dataclass(frozen=True)
class _Asked:
    """What is wanted of an utterance besides its words, as `Recognizer.transcribe` describes it."""

    language: str | None = None
    prompt: str = ""
    begins_with: str = ""
    has_times: bool = False
    should_stop: ShouldStop = never


@dataclass(frozen=True)
class _Heard:
    """What was decoded of an utterance."""

    decoded: Decoded
    text: str
    """What follows the words that were known."""
    tokens: list[int]
    """Of all its words, the known ones too."""
    starts: list[int]
    """The encoder's position of each token, where anybody needs them."""


class Whisper:
    """A `Recognizer` on a Whisper model that was converted to CTranslate2 or to ONNX.

    directory: holds `tokenizer.json`, and `model.bin` with its `config.json`, or `encoder.onnx`,
        `decoder.onnx` and `whisper.json`; or `encoder` and `decoder`, an artifact each, of which
        the second has tokenizer and details too.
    threads: of one call; more can be slower on few cores (measure it).
    compute_type: of CTranslate2; empty takes what suits the weights and the device.
    device: "auto" takes a GPU where there is one and the model can use it.
    margin_s: silence that is encoded after the utterance. With 1.25 s the words are as right as
        in the full window on 13 real recordings, on AMD and Intel; with 1 s two words were lost on
        AMD, and with 0.2 s Whisper base repeated itself once.

    Raises:
        ModelMissingError: a file is not there.
        ModelCorruptError: CTranslate2 or `tokenizers` cannot read one.
        UnsupportedModelError: the model is not a Whisper.
    """

    def __init__(
        self,
        directory: Path,
        *,
        threads: int = 1,
        compute_type: str = "",
        device: Device = "cpu",
        beam_size: int = 1,
        margin_s: float = 1.25,
    ) -> None:
        self._network = _open_network(
            directory,
            threads=threads,
            compute_type=compute_type,
            device=device,
            beam_size=beam_size,
        )
        self._tokens = Tokens(text_directory(directory), multilingual=self._network.is_multilingual)
        self._margin_s = margin_s
        self._network.learn_silence(self._mel(_hiss(), FULL_CONTEXT_S))
        self._warm_up()

    @property
    def is_multilingual(self) -> bool:
        """False for an English-only model, which takes no other language."""
        return self._tokens.multilingual

    def transcribe(
        self,
        samples: NDArray[np.float32],
        *,
        language: str | None = None,
        prompt: str = "",
        begins_with: str = "",
        has_times: bool = False,
        should_stop: ShouldStop = never,
    ) -> Transcript:
        """The words of one utterance; empty text with a reason where there are none to trust.

        Raises:
            AudioError: longer than 30 s, or not one channel.
            UnsupportedModelError: a language that the model does not know.
        """
        _check_samples(samples)
        if language is not None:
            self._tokens.check_language(language)
        if not len(samples) or float(np.abs(samples).max()) < 10 ** (SILENCE_DBFS / 20):
            return Transcript("", language or "", 1.0, 0.0, 0.0, rejected="silence")
        asked = _Asked(language, prompt, begins_with, has_times, should_stop)
        context_s = needed_context_s(len(samples), margin_s=self._margin_s)
        try:
            attempt = self._attempt(samples, context_s, asked)
            if attempt.is_repetition and not attempt.is_invented and context_s < FULL_CONTEXT_S:
                attempt = self._attempt(samples, FULL_CONTEXT_S, asked)
        except StoppedError:
            return Transcript("", language or "", 0.0, 0.0, context_s, rejected="stopped")
        return judge(attempt)

    def close(self) -> None:
        """Frees the weights."""
        self._network.close()

    def _attempt(self, samples: NDArray[np.float32], context_s: float, asked: _Asked) -> Attempt:
        """Listens once, in a context of `context_s` seconds."""
        self._network.listen(self._mel(samples, context_s))
        language = asked.language or (
            self._network.detect() if self._network.is_multilingual else "en"
        )
        heard = self._hear(samples, language, asked)
        new = heard.decoded.tokens
        return Attempt(
            text=heard.text if asked.begins_with else heard.text.strip(),
            language=language,
            no_speech_probability=heard.decoded.no_speech_probability,
            # The end of text counts as one more.
            average_log_probability=heard.decoded.log_probability / (len(new) + 1),
            context_s=context_s,
            ran_on=len(new) >= token_cap(len(samples)),
            words=self._words(heard) if asked.has_times else (),
            goes_on=bool(asked.begins_with),
        )

    def _hear(self, samples: NDArray[np.float32], language: str, asked: _Asked) -> _Heard:
        known = self._tokens.encode(asked.begins_with)
        decoded = self._decode(samples, language, asked, prompt=asked.prompt, known=known)
        tokens = self._tokens.of_text([*known, *decoded.tokens])
        starts = self._starts(samples, language, tokens) if known or asked.has_times else []
        heard = _Heard(decoded, self._tokens.decode(decoded.tokens), tokens, starts)
        if known and _speaks_on(samples, starts):
            return self._hear_again(samples, language, asked, heard)
        return heard

    def _hear_again(
        self, samples: NDArray[np.float32], language: str, asked: _Asked, heard: _Heard
    ) -> _Heard:
        """What is heard without the words before, where that is more.

        With them the decoder is inclined to end where a sentence ends, whatever follows.
        """
        decoded = self._decode(samples, language, asked)
        rest = words_after(asked.begins_with, self._tokens.decode(decoded.tokens))
        if len(bare(rest)) <= len(bare(heard.text)):
            return heard
        known = self._tokens.encode(asked.begins_with)
        tokens = self._tokens.of_text([*known, *self._tokens.encode(rest)])
        starts = self._starts(samples, language, tokens) if asked.has_times else []
        return _Heard(decoded, rest, tokens, starts)

    def _decode(
        self,
        samples: NDArray[np.float32],
        language: str,
        asked: _Asked,
        *,
        prompt: str = "",
        known: Sequence[int] = (),
    ) -> Decoded:
        return self._network.decode(
            self._tokens.prompt(language, prompt),
            known,
            most_tokens=token_cap(len(samples)),
            should_stop=asked.should_stop,
        )

    def _starts(
        self, samples: NDArray[np.float32], language: str, tokens: Sequence[int]
    ) -> list[int]:
        """The position at which the decoder looked for each token (cross-attention)."""
        if not tokens:
            return []
        positions = len(samples) // ENCODED_SAMPLES
        return self._network.align(self._tokens.start(language), tokens, positions)

    def _words(self, heard: _Heard) -> tuple[Word, ...]:
        words = self._tokens.words(heard.tokens) if heard.tokens else []
        return tuple(Word(text, heard.starts[token] / ENCODED_PER_S) for text, token in words)

    def _mel(self, samples: NDArray[np.float32], context_s: float) -> NDArray[np.float32]:
        """The spectrogram of the samples and zeros after them."""
        padded = np.zeros(round(context_s * RATE_HZ), dtype=np.float32)
        padded[: len(samples)] = samples[: len(padded)]
        return log_mel(padded, mels=self._network.mels)

    def _warm_up(self) -> None:
        """Runs once, so that the first visitor does not wait for allocations."""
        hum = np.sin(np.arange(RATE_HZ, dtype=np.float32) * np.float32(0.05)) * np.float32(0.1)
        self._attempt(hum, needed_context_s(len(hum), margin_s=self._margin_s), _Asked())


def _hiss() -> NDArray[np.float32]:
    """One second of a quiet room at about -80 dBFS, the same each time."""
    return np.random.default_rng(1).normal(0.0, 1e-4, RATE_HZ).astype(np.float32)


def needed_context_s(samples: int, *, margin_s: float) -> float:
    """The context for an utterance: its length and a margin, in steps of 0.5 s, at most 30."""
    wanted_s = samples / RATE_HZ + margin_s
    return min(FULL_CONTEXT_S, math.ceil(wanted_s / CONTEXT_STEP_S) * CONTEXT_STEP_S)


def _check_samples(samples: NDArray[np.float32]) -> None:
    if samples.ndim != 1:
        raise AudioError(
            f"the audio has the shape {samples.shape}; one channel of 16 kHz samples is expected "
            "(halfsecond.audio.load mixes and resamples)"
        )
    if len(samples) > FULL_CONTEXT_S * RATE_HZ + HOP_SAMPLES:
        raise AudioError(
            f"the utterance is {len(samples) / RATE_HZ:.1f} s long and Whisper takes at most "
            f"{FULL_CONTEXT_S:.0f} s; cut it at a pause"
        )


def _speaks_on(samples: NDArray[np.float32], starts: Sequence[int]) -> bool:
    """Whether somebody speaks after the last token, of which `starts` tells the position."""
    last = starts[-1] * ENCODED_SAMPLES if starts else 0
    return speech_after_s(samples, last) > LAST_WORD_S


def _open_network(
    directory: Path, *, threads: int, compute_type: str, device: Device, beam_size: int
) -> WhisperNetwork:
    if not (directory / ENCODER_NAME).is_file() and not is_in_parts(directory):
        return Ctranslate2Network(
            directory,
            threads=threads,
            compute_type=compute_type,
            device=device,
            beam_size=beam_size,
        )
    if beam_size != 1:
        raise UnsupportedModelError(
            f"{directory.name} on ONNX Runtime decodes greedily, and was asked for a beam of "
            f"{beam_size}; take the model for CTranslate2"
        )
    return OnnxNetwork(directory, threads=threads, device=device)
