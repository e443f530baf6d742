"""What a recogniser is: 16 kHz speech in, words out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Transcript:
    """What was heard in one utterance."""

    text: str
    """Empty when nothing was said, or when what came out was judged invented."""
    language: str
    no_speech_probability: float
    average_log_probability: float
    context_s: float
    """Length of the context that the words came from: the needed one, or 30 after a fall-back."""
    rejected: str = ""
    """Why words were discarded ("silence", "repetition"), or empty."""


class Recognizer(Protocol):
    """A loaded recogniser. One thread at a time."""

    def transcribe(
        self, samples: NDArray[np.float32], *, language: str | None = None, prompt: str = ""
    ) -> Transcript:
        """samples: (n,) mono 16 kHz in [-1, 1], at most 30 s; longer ones are the caller's to cut.

        language: BCP 47 primary tag, or None to detect it (multilingual models).
        """
        ...

    def close(self) -> None: ...
