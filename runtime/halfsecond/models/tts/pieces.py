"""A clause spoken piece by piece: what every voice that turns phonemes into samples shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.llm.clauses import ClauseCutter
from halfsecond.models.tts.normalize import plain_text
from halfsecond.models.tts.pauses import pause_after_s, trimmed
from halfsecond.models.tts.phones import is_spoken
from halfsecond.models.tts.voice import Phone, SpeechChunk

MAX_WORDS = 30
"""Sentences up to this length are spoken in one go: their melody is better, and their phonemes
are fewer than the 400 that hibari and Kokoro take at once."""

MAX_PHONEMES = 400
"""hibari was trained on no more; Kokoro takes 510."""

Synthesis = Callable[[str], tuple[NDArray[np.float32], tuple[Phone, ...]]]
"""Phonemes in, samples and phones out, with the silence that the network put around them."""


def speech_pieces(clause: str, *, max_words: int = MAX_WORDS) -> list[str]:
    """The sentences of a clause, long ones cut at their commas; joined they are the clause."""
    cutter = ClauseCutter(first_max_words=None, max_words=max_words)
    return cutter.push(clause) + cutter.flush()


def spoken_pieces(
    clause: str,
    *,
    phonemize: Callable[[str], str],
    synthesize: Synthesis,
    speed: float,
    max_words: int = MAX_WORDS,
) -> Iterator[SpeechChunk]:
    """The clause as `Voice.speak` gives it: markup and needless silence gone, pauses set."""
    for piece in speech_pieces(clause, max_words=max_words):
        text = piece
        parts = portions(phonemize(plain_text(piece)))
        for index, phonemes in enumerate(parts):
            samples, phones = synthesize(phonemes)
            is_last = index + 1 == len(parts)
            pause_s = pause_after_s(piece) / speed if is_last else 0.0
            samples, phones = trimmed(samples, phones, pause_s=pause_s)
            if samples.size:
                yield SpeechChunk(samples, text, phones)
                text = ""


def portions(phonemes: str) -> list[str]:
    """The phonemes, cut at spaces where there are too many; none if there is nothing to say."""
    parts: list[str] = []
    while len(phonemes) > MAX_PHONEMES:
        cut = phonemes.rfind(" ", 1, MAX_PHONEMES)
        cut = cut if cut > 0 else MAX_PHONEMES
        parts.append(phonemes[:cut])
        phonemes = phonemes[cut:]
    parts.append(phonemes)
    return [part for part in parts if any(map(is_spoken, part))]
