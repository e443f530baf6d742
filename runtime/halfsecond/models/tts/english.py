"""English text to phonemes in Kokoro's alphabet, by hibari's rules, lexicon and small network."""

from __future__ import annotations

import importlib
import re
from typing import Any

from halfsecond.errors import ConfigError
from halfsecond.models.tts.normalize import english_text

_WARM_UP = "Zorblax tripped on 3 quibbulons."
"""Invented words, so that the network for words outside the lexicon is loaded."""


class EnglishPhonemizer:
    """Text in, phonemes out; loading takes some 0.3 s and happens here, not at the first word.

    Raises ConfigError where hibari's package is not installed.
    """

    def __init__(self, *, is_british: bool = False) -> None:
        self._g2p = _hibari("g2p").G2P(british=is_british)
        self(_WARM_UP)

    def __call__(self, text: str) -> str:
        """The phonemes of `text` after normalisation; empty where there is nothing to say."""
        phonemes: str = self._g2p(english_text(text))
        return phonemes


_NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
_ORDINAL = re.compile(r"\b(\d+)(?:st|nd|rd|th)\b", re.IGNORECASE)
_MONEY = re.compile(
    r"([$€£])(\d+(?:,\d{3})*)(?:\.(\d\d))?(?![\d.]*\d)(?! ?(?:million|billion|trillion))"
)
_COINS = {"$": ("dollar", "cent"), "€": ("euro", "cent"), "£": ("pound", "penny")}
_YEAR = re.compile(r"(?<![\d.,])(?:1[1-9]\d\d|20[1-9]\d)(?![\d.,]*\d)(?:(s)\b)?")


def english_words(text: str) -> str:
    """The text with its numbers, dates, money and units in words, for voices that read letters."""
    numbers, normalize = _hibari("g2p.numbers"), _hibari("g2p.normalize").normalize

    def said(match: re.Match[str]) -> str:
        digits = match.group().replace(",", "")
        words: str = numbers.decimal(digits) if "." in digits else numbers.cardinal(int(digits))
        return words.replace(",", "")

    def year(match: re.Match[str]) -> str:
        return f"{numbers.year(int(match.group()[:4]))}{match.group(1) or ''}"

    def money(match: re.Match[str]) -> str:
        whole, part = int(match.group(2).replace(",", "")), int(match.group(3) or 0)
        names = _COINS[match.group(1)]
        sums = [_counted(count, name) for count, name in zip((whole, part), names, strict=True)]
        return " and ".join(each for each in sums if not each.startswith("0 ")) or sums[0]

    words: str = normalize(_MONEY.sub(money, english_text(text)))
    words = _ORDINAL.sub(lambda match: numbers.ordinal(int(match.group(1))), words)
    return _NUMBER.sub(said, _YEAR.sub(year, words))


def _counted(count: int, name: str) -> str:
    plural = {"penny": "pence"}.get(name, f"{name}s")
    return f"{count} {name if count == 1 else plural}"


def _hibari(module: str) -> Any:
    """A part of hibari, which ONNX Runtime for GPUs cannot bring along."""
    try:
        return importlib.import_module(f"hibari.{module}")
    except ModuleNotFoundError as error:
        raise ConfigError(
            "English is read by the rules of the package hibari-tts, which is not installed; "
            "pip install --no-deps 'hibari-tts>=0.2.1,<0.3' brings it without ONNX Runtime"
        ) from error
