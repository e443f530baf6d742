"""What keeps invented words out: Whisper writes something whatever it hears.

Bounds that are Whisper's own come from OpenAI's `whisper/transcribe.py`.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

from halfsecond.models.asr.mel import RATE_HZ
from halfsecond.models.asr.recognizer import Transcript, Word
from halfsecond.models.asr.words import bare

MAX_COMPRESSION_RATIO = 2.4
"""Whisper's own bound (`whisper/transcribe.py`): text that zlib shrinks further is a repetition."""
TOKENS_PER_S = 12.0
"""Fast English is 6 to 8 tokens a second and fast Chinese 10; more is a decoder that runs on."""
TOKENS_AT_LEAST = 16
"""Room for a short "yes" with its punctuation, whatever the length of the audio."""

NO_SPEECH_PROBABILITY = 0.6
LOG_PROBABILITY = -1.0
"""Whisper's own bounds: likely no speech and unlikely words together are silence."""
NO_SPEECH_CERTAIN = 0.72
"""Alone enough. Silence, noise and a cough gave 0.82 to 0.91 and speech in 29 clips at most 0.62
(tiny.en and base); a lower bound loses soft words, a higher one lets inventions through."""
NO_SPEECH_DOUBTFUL = 0.4
"""Enough against the phrases that Whisper learned from subtitles of silent film."""
INVENTIONS = frozenset(
    {
        "you",
        "thank you",
        "thank you very much",
        "thanks for watching",
        "thank you for watching",
        "please subscribe",
        "bye",
        "bye bye",
        "so",
        "the end",
        "i m sorry",
        "谢谢",
        "谢谢观看",
        "謝謝觀看",
        "字幕by索兰娅",
    }
)
SIMPLIFIED_CHINESE = "以下是普通话的句子。"
"""Whisper base writes traditional characters unless the text before is in simplified ones."""


@dataclass(frozen=True)
class Attempt:
    """What the decoder wrote for one context."""

    text: str
    language: str
    no_speech_probability: float
    average_log_probability: float
    context_s: float
    ran_on: bool
    """The decoder was stopped by the cap on tokens, not by its own end of text."""
    words: tuple[Word, ...] = ()
    """With their times, where those were asked for."""
    goes_on: bool = False
    """The decoder was made to begin with known words; `text` is what it wrote after them."""

    @property
    def is_repetition(self) -> bool:
        return self.ran_on or compression_ratio(self.text) > MAX_COMPRESSION_RATIO

    @property
    def is_invented(self) -> bool:
        nothing = self.no_speech_probability
        if nothing > NO_SPEECH_CERTAIN or not (words := bare(self.text)):
            return True
        if words == bare(SIMPLIFIED_CHINESE) or words in INVENTIONS:
            # After known words the probability of no speech is theirs, and tells nothing.
            return self.goes_on or nothing > NO_SPEECH_DOUBTFUL
        return nothing > NO_SPEECH_PROBABILITY and self.average_log_probability < LOG_PROBABILITY


def token_cap(samples: int) -> int:
    """The most tokens that an utterance of this length can hold, at most Whisper's 224."""
    return min(224, TOKENS_AT_LEAST + math.ceil(TOKENS_PER_S * samples / RATE_HZ))


def compression_ratio(text: str) -> float:
    """How far zlib shrinks the text: about 1 for a sentence, more for a repetition."""
    data = text.encode()
    return len(data) / len(zlib.compress(data)) if data else 0.0


def judge(attempt: Attempt) -> Transcript:
    """The transcript, with the words taken out where they are not to be trusted."""
    rejected = ""
    if attempt.is_invented:
        rejected = "silence"
    elif attempt.is_repetition:
        rejected = "repetition"
    return Transcript(
        text="" if rejected else attempt.text,
        language=attempt.language,
        no_speech_probability=attempt.no_speech_probability,
        average_log_probability=attempt.average_log_probability,
        context_s=attempt.context_s,
        rejected=rejected,
        words=() if rejected else attempt.words,
    )
