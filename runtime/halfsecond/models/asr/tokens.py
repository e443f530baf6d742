"""Whisper's tokens: what the decoder starts from, and the words that it writes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path

from halfsecond.errors import ModelCorruptError, UnsupportedModelError
from halfsecond.models.asr.guards import SIMPLIFIED_CHINESE
from halfsecond.models.asr.words import split_words

PROMPT_TOKENS = 100
"""Of what was said before, the last that the decoder is given; Whisper takes at most 224."""


class Tokens:
    """The tokenizer's side of a Whisper model: prompts in, text and its words out."""

    def __init__(self, directory: Path, *, multilingual: bool) -> None:
        import tokenizers

        path = directory / "tokenizer.json"
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:
            # tokenizers raises a bare Exception for whatever it cannot parse.
            raise ModelCorruptError(
                f"{path} cannot be read as a tokenizer ({error}); run `halfsecond models verify`"
            ) from error
        self.multilingual = multilingual
        self._start = self._id("<|startoftranscript|>")
        self.text_end = self._id("<|endoftext|>")
        """With which a transcript ends; tokens below it are text."""

    def _id(self, token: str) -> int:
        number = self._tokenizer.token_to_id(token)
        if number is None:
            raise UnsupportedModelError(
                f"the tokenizer has no {token}: this is not a Whisper model, or not one that "
                "knows this language"
            )
        return int(number)

    def check_language(self, language: str) -> None:
        """Raises UnsupportedModelError for a language that the model does not know."""
        if not self.multilingual and language != "en":
            raise UnsupportedModelError(
                f"this Whisper model knows English only, and was asked for {language!r}; "
                "use a multilingual one, such as whisper-base"
            )
        self._id(f"<|{language}|>")

    def prompt(self, language: str, text: str) -> list[int]:
        """The tokens that the decoder starts from; `text` is what was said before."""
        if language == "zh" and not text:
            text = SIMPLIFIED_CHINESE
        start = [*self.start(language), self._id("<|notimestamps|>")]
        if not text:
            return start
        before = self.encode(f" {text.strip()}")
        return [self._id("<|startofprev|>"), *before[-PROMPT_TOKENS:], *start]

    def encode(self, text: str) -> list[int]:
        """The tokens of a text; the space at its beginning counts."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def start(self, language: str) -> list[int]:
        """The tokens that every transcript begins with."""
        if not self.multilingual:
            return [self._start]
        return [self._start, self._id(f"<|{language}|>"), self._id("<|transcribe|>")]

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of the tokens, without special ones; a space at its beginning is kept."""
        return str(self._tokenizer.decode(self.of_text(tokens)))

    def of_text(self, tokens: Sequence[int]) -> list[int]:
        """The tokens without special ones."""
        return [token for token in tokens if token < self.text_end]

    def words(self, tokens: Sequence[int]) -> list[tuple[str, int]]:
        """The words that tokens of text write, each with the number of its first token."""
        # A character may be spread over tokens, and a token may hold two words (Chinese).
        begins = [len(self.decode(tokens[:n]).rstrip("\ufffd")) for n in range(len(tokens))]
        words: list[tuple[str, int]] = []
        at = 0
        for word in split_words(self.decode(tokens)):
            token = bisect_left(begins, at)
            is_inside = token == len(begins) or begins[token] > at
            words.append((word, token - is_inside))
            at += len(word)
        return words
