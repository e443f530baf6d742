"""What a Whisper network does, whichever library runs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

FULL_CONTEXT_S = 30.0
"""The window that Whisper was trained on, and the longest utterance it takes."""
ENCODED_PER_S = 50
"""Positions that the encoder gives for a second."""
FULL_CONTEXT_POSITIONS = 1500
CAPACITY = 448
"""Positions of Whisper's decoder."""

MULTILINGUAL_VOCABULARY = 51865
"""Tokens of the smallest model that knows more than English; Whisper's own code goes by it."""

ShouldStop = Callable[[], bool]


def never() -> bool:
    """Nobody wants it to stop."""
    return False


class StoppedError(Exception):
    """The decoder was asked to stop; caught where it was asked."""


@dataclass(frozen=True)
class Decoded:
    """What the decoder wrote."""

    tokens: list[int]
    """After the known ones; without the end of text."""
    log_probability: float
    """Natural, summed over the tokens and the end of text."""
    no_speech_probability: float


class WhisperNetwork(Protocol):
    """Encoder and decoder of one model. Listens first; all else is about what it heard last."""

    @property
    def mels(self) -> int:
        """Bands of the spectrogram."""
        ...

    @property
    def is_multilingual(self) -> bool: ...

    def learn_silence(self, mel: NDArray[np.float32]) -> None:
        """mel: (mels, 3000) of a quiet room, for what lies behind an utterance."""
        ...

    def listen(self, mel: NDArray[np.float32]) -> None:
        """mel: (mels, 100 a second) of the utterance; the rest of 30 s is known silence."""
        ...

    def detect(self) -> str:
        """The language, as a BCP 47 primary tag."""
        ...

    def decode(
        self,
        prompt: Sequence[int],
        known: Sequence[int] = (),
        *,
        most_tokens: int,
        should_stop: ShouldStop = never,
    ) -> Decoded:
        """What is most likely said after the tokens `prompt`, and the `known` ones of the text.

        Whisper's rule that a text does not begin with its end holds where none are known: a silence
        after known words would else become "You".

        Raises StoppedError as soon as it can after `should_stop` gives True.
        """
        ...

    def align(self, start: Sequence[int], tokens: Sequence[int], positions: int) -> list[int]:
        """The position (50 a second, below `positions`) at which each token of text begins.

        start: what a transcript in this language begins with, before the token of no time stamps.
        """
        ...

    def close(self) -> None: ...
