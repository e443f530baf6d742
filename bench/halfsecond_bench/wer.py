"""Word error rate, on words as they are said rather than as they are written."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from num2words import num2words

_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_APOSTROPHES = str.maketrans({"’": "'", "‘": "'"})
_TITLES: dict[str, str] = {"mr": "mister", "mrs": "missus", "dr": "doctor"}


@dataclass(frozen=True)
class WordErrors:
    """Substitutions, deletions and insertions over all pairs, and the reference's words."""

    errors: int
    words: int

    @property
    def rate(self) -> float:
        """Errors per word of the reference; 0 where there is none."""
        return self.errors / self.words if self.words else 0.0


def word_errors(pairs: Iterable[tuple[str, str]]) -> WordErrors:
    """The errors of (reference, hypothesis) pairs, by `spoken_words`."""
    return summed_errors(pairs, spoken_words)


def summed_errors(
    pairs: Iterable[tuple[str, str]], split: Callable[[str], list[str]]
) -> WordErrors:
    """The errors of (reference, hypothesis) pairs by the least number of edits of their parts."""
    errors = words = 0
    for reference, hypothesis in pairs:
        expected = split(reference)
        errors += edit_distance(expected, split(hypothesis))
        words += len(expected)
    return WordErrors(errors, words)


def spoken_words(text: str) -> list[str]:
    """The words of a text: lower case, no punctuation, numbers and titles spelled out."""
    plain = unicodedata.normalize("NFKC", text).translate(_APOSTROPHES).lower()
    spelled = _NUMBER.sub(_spell, plain)
    words: list[str] = re.findall(r"[^\W_]+(?:'[^\W_]+)*", spelled.replace("-", " "))
    return [_TITLES.get(word, word) for word in words]


def _spell(match: re.Match[str]) -> str:
    digits = match.group().replace(",", "")
    spelled: str = num2words(float(digits) if "." in digits else int(digits))
    return spelled.replace("-", " ").replace(",", "")


def edit_distance(expected: Sequence[str], found: Sequence[str]) -> int:
    """Levenshtein's distance between two sequences."""
    row = list(range(len(found) + 1))
    for number, item in enumerate(expected, start=1):
        diagonal, row[0] = row[0], number
        for column, other in enumerate(found, start=1):
            least = min(row[column] + 1, row[column - 1] + 1, diagonal + (item != other))
            diagonal, row[column] = row[column], least
    return row[-1]
