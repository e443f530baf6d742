"""What a recogniser is: 16 kHz speech in, words out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Word:
    """One word, and about where it begins."""

    text: str
    """As written: with its punctuation, and the space before it where there is one."""
    start_s: float
    """From the beginning of the audio. A pause is part of the word before or after it."""


@dataclass(frozen=True)
class Transcript:
    """What was heard in one utterance."""

    text: str
    """Empty when nothing was said, or when what came out was judged invented. After words that the
    audio was said to begin with, only what follows them, with the space before it."""
    language: str
    no_speech_probability: float
    average_log_probability: float
    context_s: float
    """Length of the context that the words came from: the needed one, or 30 after a fall-back."""
    rejected: str = ""
    """Why there are no words ("silence", "repetition", "stopped"), or empty."""
    words: tuple[Word, ...] = ()
    """All words of the audio, where times were asked for."""


class Recognizer(Protocol):
    """A loaded recogniser. One thread at a time."""

    def transcribe(
        self,
        samples: NDArray[np.float32],
        *,
        language: str | None = None,
        prompt: str = "",
        begins_with: str = "",
        has_times: bool = False,
        should_stop: Callable[[], bool] = ...,
    ) -> Transcript:
        """samples: (n,) mono 16 kHz in [-1, 1], at most 30 s; longer ones are the caller's to cut.

        language: BCP 47 primary tag, or None to detect it (multilingual models).
        prompt: what was said before the audio; its last words guide the spelling of these.
        begins_with: the first words of the audio, where they are known, with the space before them;
            they are taken as they are and the transcript goes on after them.
        has_times: whether the words are wanted one by one, with their times.
        should_stop: asked now and then; once it gives True the transcript is soon there, empty.
        """
        ...

    def close(self) -> None: ...
