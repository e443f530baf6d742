"""The transcript of an utterance that is still being spoken.

The audio of words that are settled is cut off, so that what is left to hear stays short however
long the visitor speaks. Whisper's word times are not exact enough to cut right after the last
settled word: the next one is then lost or heard twice. So the cut lies `OVERLAP_WORDS` earlier, and
the decoder is made to begin with those words; it finds in the audio where they end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.asr.agreement import Agreement
from halfsecond.models.asr.mel import RATE_HZ
from halfsecond.models.asr.recognizer import Transcript, Word
from halfsecond.models.asr.seam import seam_before
from halfsecond.models.asr.words import split_words

SETTLE_S = 6.0
"""Audio that is longer has its settled words cut off. Shorter hears less context and costs words;
longer costs time at the end of long questions."""
OVERLAP_WORDS = 4
"""Settled words that are heard again before those that are not."""


@dataclass(frozen=True)
class Window:
    """The audio that is still to be heard, and what is known of it."""

    first_sample: int
    """Of the utterance."""
    prompt: str
    """What was said before the window."""
    begins_with: str
    """The settled words that the window begins with."""

    def whole(self, tail: Transcript) -> Transcript:
        """The transcript from the beginning of the utterance, given that of the window."""
        text = f"{self.prompt}{self.begins_with}{tail.text}".strip()
        return replace(tail, text=text, words=(), rejected="" if text else tail.rejected)


class GrowingTranscript:
    """Takes hypotheses of one utterance; gives its settled words, and the window that is left."""

    def __init__(self) -> None:
        self._agreement = Agreement()
        self._first_sample = 0
        self._cut_characters = 0
        """Of the settled text, those whose audio is cut off."""

    @property
    def settled(self) -> str:
        """The words that stay, whatever is heard later."""
        return "".join(self._agreement.committed)

    @property
    def window(self) -> Window:
        """What the next hypothesis is to be made of."""
        text, cut = self.settled, self._cut_characters
        return Window(self._first_sample, prompt=text[:cut], begins_with=text[cut:])

    def add(self, samples: NDArray[np.float32], heard: Transcript) -> None:
        """Takes a hypothesis of the window; settles words and cuts where the window is long.

        samples: (n,) the audio of the window, which `heard` came from.
        """
        if heard.rejected:
            return  # not to be trusted; the next one is compared with the one before
        self._agreement.add(split_words(heard.text))
        if heard.words and len(samples) >= SETTLE_S * RATE_HZ:
            self._agreement.commit()
            self._cut(samples, heard.words)

    def _cut(self, samples: NDArray[np.float32], words: Sequence[Word]) -> None:
        """Leaves of the settled words the audio of the last ones."""
        settled = split_words(self.window.begins_with)
        cut = len(settled) - OVERLAP_WORDS
        if cut > 0:
            self._first_sample += seam_before(samples, words[cut])
            self._cut_characters += len("".join(settled[:cut]))
