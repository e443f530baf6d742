"""Text as the numbers that a VITS was trained on: letters, or phonemes as espeak writes them."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from halfsecond.errors import ConfigError
from halfsecond.models.tts.vits_config import VitsConfig


@dataclass(frozen=True)
class Spelled:
    """Symbols that a voice knows, and their numbers."""

    symbols: tuple[str, ...]
    """One for each that is given a time; "" for what stands before the first."""
    ids: tuple[int, ...]
    owners: tuple[int, ...]
    """For each number the place of its symbol in `symbols`."""


class SymbolTable:
    """Symbols to numbers."""

    def __init__(self, config: VitsConfig) -> None:
        self._config = config
        self._replaced = str.maketrans(config.replaced)

    def spell(self, text: str) -> Spelled:
        """The numbers of phonemes or letters; what the voice does not know is left out."""
        config = self._config
        symbols, ids, owners = [""], [*config.start], [0] * len(config.start)
        for symbol in self._prepared(text):
            known = config.symbols.get(symbol)
            if known is None:
                continue
            numbers = (*known, *config.between)
            owners += [len(symbols)] * len(numbers)
            ids += numbers
            symbols.append(symbol)
        owners += [len(symbols)] * len(config.end)
        ids += config.end
        return Spelled((*symbols, ""), tuple(ids), tuple(owners))

    def unknown(self, text: str) -> str:
        """The symbols of `text` that the voice does not know, each once."""
        return "".join(sorted(set(self._prepared(text)) - set(self._config.symbols)))

    def _prepared(self, text: str) -> str:
        text = text.translate(self._replaced)
        return unicodedata.normalize("NFD", text) if self._config.is_decomposed else text


def open_phonemizer(config: VitsConfig, language: str) -> Callable[[str], str]:
    """What makes symbols of text in one of the voice's languages.

    Raises:
        UnsupportedModelError: phonemes of a language that nothing here reads, see
            `EspeakPhonemizer`.
    """
    primary = language.lower().replace("_", "-").split("-")[0]
    if config.writing == "graphemes":
        return _Letters(config, primary)
    if primary != "en":
        from halfsecond.models.tts.espeak_program import EspeakPhonemizer

        return EspeakPhonemizer(language)
    from halfsecond.models.tts.english import EnglishPhonemizer
    from halfsecond.models.tts.espeak_phonemes import espeak_american, espeak_british

    is_british = not language.lower().startswith(("en-us", "en_us"))
    phonemize = EnglishPhonemizer(is_british=is_british)
    written = espeak_british if is_british else espeak_american
    return lambda text: written(phonemize(text))


class _Letters:
    """Letters as a voice was trained on them; English numbers and signs in words."""

    def __init__(self, config: VitsConfig, primary: str) -> None:
        self._is_lowercase = config.is_lowercase
        self._spoken: Callable[[str], str] = str
        if primary == "en":
            from halfsecond.models.tts.english import english_words

            self._spoken = english_words

    def __call__(self, text: str) -> str:
        words = " ".join(self._spoken(text).split())
        return words.lower() if self._is_lowercase else words


def chosen_language(config: VitsConfig, wanted: str) -> str:
    """One of the languages of a voice, its first where none is wanted.

    Raises:
        ConfigError: the voice does not speak it; the message lists those it does.
    """
    known = config.languages or (config.language,)
    if not wanted:
        return known[0]
    for name in known:
        if name.lower() == wanted.lower():
            return name
    for name in known:
        if name.lower().split("-")[0] == wanted.lower().split("-")[0]:
            return name
    raise ConfigError(f"{config.name} does not speak {wanted!r}; it speaks {', '.join(known)}")
