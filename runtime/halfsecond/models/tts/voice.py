"""What a voice is: text in, 24 kHz speech out, clause by clause."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from halfsecond.voiceprint import Voiceprint

SPEECH_RATE_HZ = 24_000
"""Every voice speaks at this rate (hibari's and Kokoro's own; others resample)."""


@dataclass(frozen=True)
class Phone:
    """One phoneme as it was spoken; times are seconds from the start of its chunk."""

    symbol: str
    """One character of Kokoro's alphabet (misaki conventions), stress marks left out."""
    start_s: float
    end_s: float


@dataclass(frozen=True)
class SpeechChunk:
    """Speech that can be played as it is, directly after the chunk before it."""

    samples: NDArray[np.float32]
    """(n,) mono at SPEECH_RATE_HZ in [-1, 1]; owned by the receiver."""
    text: str
    """The part of the clause that these samples say, as it was written."""
    phones: tuple[Phone, ...] = ()
    """Empty where the voice does not tell phoneme times."""


class Voice(Protocol):
    """A loaded voice. One thread at a time."""

    @property
    def name(self) -> str: ...

    @property
    def language(self) -> str:
        """BCP 47 primary tag of what it speaks best, such as "en" or "zh"."""
        ...

    def speak(self, clause: str, *, speed: float = 1.0) -> Iterator[SpeechChunk]:
        """The clause as speech, in chunks that follow one another without a gap.

        Text is normalised here (numbers, currency, units, dates). A clause in which there is
        nothing to say (punctuation only) gives no chunk.
        """
        ...

    def close(self) -> None: ...


@runtime_checkable
class SpeaksAsAnybody(Protocol):
    """A voice that speaks as whomever it is given the voiceprint of."""

    @property
    def voiceprint(self) -> Voiceprint | None:
        """Of whom it speaks as; another may be set between two clauses."""
        ...

    @voiceprint.setter
    def voiceprint(self, voiceprint: Voiceprint | None) -> None: ...
