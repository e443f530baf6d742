"""Words as Whisper writes them: taken apart, put together, and compared."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from difflib import SequenceMatcher

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


def words_after(known: str, text: str) -> str:
    """What of `text` follows the words of `known`, which it begins with as far as both heard well.

    Those words may be spelt otherwise in `text`, some may be missing, and all may be.
    """
    words = split_words(text)
    # Edit distance of the known words and each beginning of the text (Levenshtein), where a word
    # may stand for one that is spelt alike, and one left out and one put in cost as much as two
    # that have nothing in common.
    cost = [float(count) for count in range(len(words) + 1)]
    for one in split_words(known):
        left_out = [cost[0] + 1]
        for at, other in enumerate(words):
            instead = cost[at] + _distance(one, other)
            left_out.append(min(cost[at + 1] + 1, left_out[at] + 1, instead))
        cost = left_out
    return "".join(words[cost.index(min(cost)) :])


def _distance(one: str, other: str) -> float:
    """0 for the same word, 2 for words without a common letter."""
    return 2 - 2 * SequenceMatcher(None, bare(one), bare(other), autojunk=False).ratio()
