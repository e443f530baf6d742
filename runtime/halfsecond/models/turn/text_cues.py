"""What the words say about whether the visitor has finished.

A rule of a few word lists, for English; other languages give no opinion but from punctuation. It
errs towards no opinion: a wrong "open" makes a visitor wait, who may be asking "what is it for?".
"""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

Reading: TypeAlias = Literal["open", "closed", "unknown"]
"""Whether the words want more ("where is the"), make a whole, or tell nothing."""

_OPEN_END = re.compile(r"(?:[,:;，、：；]|[-–—]|\.\.\.?|…)\s*$")
_CLOSED_END = re.compile(r"[.?!。？！]\s*$")
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Words after which English cannot stop, whatever came before.
_NEVER_LAST = _words(
    "the a an my your our their and or but nor because if whether than although unless while "
    "i we he they i'm i'd i'll i've we'd we'll we've we're you're they're he's she's what's "
    "where's who's there's it's let's um uh er erm hmm very every any another whose mr mrs mister"
)
# Prepositions: last in "what is it for?", so no sign once a question word has been said.
_PREPOSITIONS = _words(
    "of at from with without into onto for by about between during to towards near beside under "
    "than like as on in"
)
# Verbs that want more after a noun ("the museum is"), but not after a pronoun ("yes, I do").
_VERBS = _words(
    "is are was were am do does did can could will would shall should must may might have has had"
)
_PRONOUNS = _words("i you he she it we they this that there these those")
_QUESTION_WORDS = _words("what where when which who whom whose why how what's where's who's how's")
_SUBORDINATE = _words("if because since although though unless before after once while until")
_SUBJECTS = _PRONOUNS | _words("the my our your a an his her their")


def reading(text: str, *, language: str | None = "en") -> Reading:
    """What the end of a transcript says. One without words is open: nothing was asked so far."""
    if not text.strip():
        return "open"
    if _OPEN_END.search(text):
        return "open"
    if (language or "en").startswith("en") and _wants_more(_WORD.findall(_plain(text))):
        return "open"
    return "closed" if _CLOSED_END.search(text) else "unknown"


def _plain(text: str) -> str:
    return text.lower().replace("’", "'")


def _wants_more(words: list[str]) -> bool:
    if not words:
        return False
    last, before = words[-1], words[:-1]
    if last in _NEVER_LAST:
        return True
    asks = any(word in _QUESTION_WORDS for word in before)
    if last in _PREPOSITIONS:
        return not asks
    if last in _VERBS:
        return not asks and bool(before) and before[-1] not in _PRONOUNS
    return _is_lone_clause(words)


def _is_lone_clause(words: list[str]) -> bool:
    """ "If I come on Sunday": a clause that another has to follow, which has not begun."""
    if words[:3] == ["as", "soon", "as"]:
        return not _has_main_clause(words[3:])
    if words[0] == "when":
        return len(words) > 2 and words[1] in _SUBJECTS and not _has_main_clause(words[2:])
    return words[0] in _SUBORDINATE and not _has_main_clause(words[1:])


def _has_main_clause(words: list[str]) -> bool:
    """Whether a question has begun: a question word, or a verb before its subject."""
    return any(
        first in _QUESTION_WORDS or (first in _VERBS and second in _SUBJECTS)
        for first, second in zip(words, [*words[1:], ""], strict=True)
    )
