"""English text to phonemes in Kokoro's alphabet, by hibari's rules, lexicon and small network."""

from __future__ import annotations

from halfsecond.models.tts.normalize import english_text

_WARM_UP = "Zorblax tripped on 3 quibbulons."
"""Invented words, so that the network for words outside the lexicon is loaded."""


class EnglishPhonemizer:
    """Text in, phonemes out; loading takes some 0.3 s and happens here, not at the first word."""

    def __init__(self, *, is_british: bool = False) -> None:
        from hibari.g2p import G2P

        self._g2p = G2P(british=is_british)
        self(_WARM_UP)

    def __call__(self, text: str) -> str:
        """The phonemes of `text` after normalisation; empty where there is nothing to say."""
        phonemes: str = self._g2p(english_text(text))
        return phonemes
