"""Words as Whisper writes them: taken apart, put together, and compared."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_WITHOUT_SPACES = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
"""Thai, Lao, kana and Han: written without spaces, so that a character counts as a word."""
_WORD = re.compile(rf"\s*(?:[{_WITHOUT_SPACES}][^\w\s]*|[^\s{_WITHOUT_SPACES}]+)")


def split_words(text: str) -> list[str]:
    """The words with their punctuation and the space before them; joined they are the text."""
    return _WORD.findall(text)


def bare(text: str) -> str:
    """Lower-case words with one space between them and no punctuation."""
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", text).lower()))


def same_words(first: str, second: str) -> bool:
    """Whether two transcripts differ in case, punctuation and spaces alone."""
    return bare(first).replace(" ", "") == bare(second).replace(" ", "")


def common_prefix(first: Sequence[str], second: Sequence[str]) -> int:
    """How many words both begin with."""
    count = 0
    for one, other in zip(first, second, strict=False):
        if bare(one) != bare(other):
            break
        count += 1
    return count
