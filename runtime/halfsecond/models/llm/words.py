"""Words to compare: what a question and a fact have in common, in English and Chinese."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import pairwise

# Words that say that something is asked, not what ("wear" is how "where" is often heard).
_FUNCTION_WORDS_TEXT = """
    a about again allowed also am an and any anybody are as at be been bring but by can connect
    could d did do does doing everybody feel find for from get give go goes going had happen has
    have he hello her here hi his how i if in into is it its just know leave let like ll look
    looking lot m make many may me mean mind much must my near nearest need next now of off
    often on one or our out please possible re really s see she should so some somebody
    something somewhere sure t tell than thank thanks that the their them then there these they
    thing this time to today too try until ups us use using ve very visit want ware was we wear
    were what when where which who whom whose why will with would yes yet you your
"""
_FUNCTION_WORDS = frozenset(_FUNCTION_WORDS_TEXT.split())

# Characters that do the same in Chinese; runs are cut there.
_FUNCTION_CHARACTERS = re.compile(
    "请问|什么|哪里|哪儿|多少|怎么|几点|为什么|没有|[的了吗呢吧啊在是我你您们有请]"
)

# What visitors call the same thing. Keywords in brackets on the page of facts add to it.
_SAME = (
    "restroom toilet bathroom washroom lavatory loo wc",
    "open hour close",
    "ticket price cost pay fee admission entry expensive charge",
    "eat food lunch hungry restaurant cafe cafeteria snack drink coffee thirsty",
    "park car garage",
    "wifi internet wireless online",
    "photo picture camera photograph",
    "elevator lift",
    "coat cloakroom jacket bag luggage locker",
    "child children kid son daughter baby toddler",
    "adult grown grownup",
    "shop store souvenir buy",
    "show film movie",
    "start begin",
    "last take long duration",
    "name call",
    "far away distance",
)

# Questions about the speaker, which have no word for it of their own.
_PHRASES = {
    "who are you": "what is your name",
    "what are you called": "what is your name",
    "你是谁": "你叫什么名字",
}

_WORD_OR_HAN = re.compile(r"[a-z0-9]+|[\u3400-\u4dbf\u4e00-\u9fff]+")
_ACCENTS = re.compile("[\u0300-\u036f]")
_HAN = re.compile(r"[\u3400-\u9fff]")
_ENDINGS = ("ing", "ed", "e")


def stem(word: str) -> str:
    """The word without its English plural and verb ending; at least three letters are left."""
    if word.endswith("ies") and len(word) > 5:
        word = word[:-3] + "y"
    elif word.endswith("s") and not word.endswith("ss") and len(word) > 3:
        word = word[:-1]
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def terms(text: str) -> list[str]:
    """Stems of the English words and pairs of the Chinese characters that carry meaning."""
    return list(_meaningful(text))


def joined_terms(text: str) -> list[str]:
    """Stems of neighbouring English words written as one: "rest rooms" may be "restrooms"."""
    words = normalized(text).split()
    return [stem(first + second) for first, second in pairwise(words)]


def normalized(text: str) -> str:
    """Lower case words with single spaces, without accents, hyphens and punctuation."""
    plain = unicodedata.normalize("NFKD", text.lower()).replace("-", "")
    return " ".join(_WORD_OR_HAN.findall(_ACCENTS.sub("", plain)))


def same(term: str) -> frozenset[str]:
    """Terms that visitors use for the same thing, without the term itself."""
    return _SAME_TERMS.get(term, frozenset()) - {term}


def _meaningful(text: str) -> Iterator[str]:
    plain = normalized(text)
    for phrase, meaning in _PHRASES.items():
        plain = plain.replace(phrase, meaning)
    for run in plain.split():
        if _HAN.match(run):
            for part in _FUNCTION_CHARACTERS.split(run):
                yield from _pairs(part)
        elif run not in _FUNCTION_WORDS:
            yield stem(run)


def _pairs(characters: str) -> list[str]:
    if len(characters) < 2:
        return [characters] if characters else []
    return [first + second for first, second in pairwise(characters)]


def _same_terms() -> dict[str, frozenset[str]]:
    groups = (frozenset(stem(word) for word in group.split()) for group in _SAME)
    return {term: group for group in groups for term in group}


_SAME_TERMS = _same_terms()
