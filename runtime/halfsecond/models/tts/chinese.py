"""Chinese text to phonemes in Kokoro's alphabet, words of English within it included."""

from __future__ import annotations

import importlib
import logging
import re
import tempfile
import warnings
from collections.abc import Callable
from typing import Any

from halfsecond.errors import UnsupportedModelError
from halfsecond.models.tts.english import EnglishPhonemizer
from halfsecond.models.tts.normalize import chinese_text

_LATIN = re.compile(r"[A-Za-zÀ-ÿ]+(?:[ '’&./-]+[A-Za-zÀ-ÿ]+)*")
_STRONG_STOP = re.compile(r"(?:(?<![^ ˈˌ])|(?<![s ˈˌ])(?=.[ɹljw]?[ˈˌ]))([ptk])")
"""A voiceless stop that begins a word or a stressed syllable, but not after s."""
_DIPHTHONGS = str.maketrans({"I": "ai", "A": "ei", "O": "ou", "W": "au", "Y": "oi"})
"""Kokoro has one symbol for each diphthong of English, and two for each of Chinese."""
_HAN = re.compile(r"[\u4e00-\u9fff]")


class ChinesePhonemizer:
    """Text in, phonemes out. Loading takes some two seconds (word list and English lexicon).

    Raises:
        UnsupportedModelError: misaki is not installed; the message says how to get it.
    """

    def __init__(self) -> None:
        self._chinese = _load_misaki()
        self._english = EnglishPhonemizer()

    def __call__(self, text: str) -> str:
        """The phonemes of `text` after normalisation; empty where there is nothing to say."""
        if not _HAN.search(text) and _LATIN.search(text):
            return self._english(text)
        parts: list[str] = []
        at = 0
        text = chinese_text(text)
        for match in _LATIN.finditer(text):
            parts += [self._han(text[at : match.start()]), _sinicized(self._english(match.group()))]
            at = match.end()
        parts.append(self._han(text[at:]))
        return re.sub(r" +(?=[,.;:!?])", "", " ".join(part for part in parts if part))

    def _han(self, text: str) -> str:
        if not text.strip():
            return ""
        try:
            return self._chinese(text)
        except ValueError:
            # pypinyin has no syllable for some seventy rare characters: the others are said.
            return self._chinese("".join(filter(self._is_sayable, text)))

    def _is_sayable(self, char: str) -> bool:
        try:
            self._chinese(char)
        except ValueError:
            return False
        return True


def _sinicized(phonemes: str) -> str:
    """English phonemes as a speaker of Chinese knows them, who never met English's diphthongs."""
    return _aspirated(phonemes).translate(_DIPHTHONGS)


def _aspirated(phonemes: str) -> str:
    """English phonemes with the breath of p, t and k written out.

    Chinese tells p from b by that breath alone, so a speaker of Chinese would say "Tom" as "dom".
    """
    return _STRONG_STOP.sub(r"\1ʰ", phonemes.replace("T", "t"))


def _load_misaki() -> Callable[[str], str]:
    try:
        with warnings.catch_warnings():
            # jieba's source has escapes that Python warns of when it is first compiled.
            warnings.simplefilter("ignore")
            jieba = importlib.import_module("jieba")
            from misaki.zh import ZHG2P
    except ImportError as error:
        raise UnsupportedModelError(
            f"Kokoro's Chinese needs the package misaki, which cannot be imported ({error}); "
            "run `pip install 'halfsecond[zh]'` with Python 3.10 to 3.12 "
            "(there is no misaki for 3.13)"
        ) from error
    _load_words(jieba)
    phonemizer = ZHG2P()

    def phonemize(text: str) -> str:
        phonemes: str = phonemizer(text)[0] if text.strip() else ""
        return phonemes

    return phonemize


def _load_words(jieba: Any) -> None:
    """Loads jieba's dictionary through a cache of our own that goes away at once.

    Its usual cache is a file of a known name in the shared temporary directory, which it reads
    back unchecked: anyone on the machine could have put it there.
    """
    tokenizer = jieba.dt
    logging.getLogger("jieba").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="halfsecond-") as directory:
        tokenizer.tmp_dir = directory
        tokenizer.initialize()
