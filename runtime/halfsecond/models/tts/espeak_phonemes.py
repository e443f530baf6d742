"""English phonemes as espeak writes them, from those of hibari's phonemizer.

Piper's and most of Coqui's voices were trained on what espeak-ng gives. espeak is under the GPL and
not among our dependencies; hibari's phonemizer, which is, writes the same sounds in Kokoro's
alphabet: one letter for a diphthong, no length marks in American English. Here that is undone.
"""

from __future__ import annotations

import re

# What Kokoro's alphabet folds, by the table of misaki's espeak fallback read backwards.
_AMERICAN = (
    ("A", "eɪ"), ("I", "aɪ"), ("O", "oʊ"), ("W", "aʊ"), ("Y", "ɔɪ"), ("Q", "əʊ"),
    ("ʤ", "dʒ"), ("ʧ", "tʃ"), ("ᵊ", "ə"), ("T", "ɾ"), ("—", ","), ("…", "."),
)  # fmt: skip
_BRITISH = (*_AMERICAN, ("ɛː", "eə"))

_LONG = re.compile(r"(ɑ|u)(?!ː)|ɔ(?![ɪː])")
"""American vowels that espeak marks as long wherever they stand."""
_FLEECE = re.compile(r"([ˈˌ][^ˈˌ aeiouæɑɐɒɔəɛɜɪʊʌ]*)i(?!ː)|i(?!ː)(?=[^\s.,;:!?ːəɪʊaeoæɑɐɒɔɛɜʌu])")
"""Stressed, or with a consonant behind it; at the end of "happy" it is short."""


def espeak_american(phonemes: str) -> str:
    """The phonemes of American English, in the alphabet of espeak's "en-us"."""
    text = phonemes
    for folded, written in _AMERICAN:
        text = text.replace(folded, written)
    text = text.replace("ɜɹ", "ɜː").replace("əɹ", "ɚ")
    text = _LONG.sub(lambda match: match.group() + "ː", text)
    return _FLEECE.sub(lambda match: match.group() + "ː", text)


def espeak_british(phonemes: str) -> str:
    """The phonemes of British English, in the alphabet of espeak's "en-gb"."""
    text = phonemes
    for folded, written in _BRITISH:
        text = text.replace(folded, written)
    return text
