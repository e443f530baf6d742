"""A page of facts, and the lines of it that a question is about."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from halfsecond.models.llm.words import joined_terms, normalized, same, terms

# A question of which less than this share (by rarity of its words) is on the page is not
# answered by it. Lower answers more questions, and more of them with an unrelated fact.
# Chosen on 84 questions about two museums, 26 of them not on the page.
MIN_COVERAGE = 0.42

# What a synonym counts against the word itself.
_SAME_WEIGHT = 0.8

# What the last word of a line counts against the first: what a line is about comes early, so that
# "Where is the café?" is not answered by "The restrooms are behind the café."
_LAST_WEIGHT = 0.8

_BRACKETS = re.compile(r"\[([^\]]*)\]\s*$")


@dataclass(frozen=True)
class Fact:
    """A line of the page."""

    text: str
    keywords: tuple[str, ...] = ()
    """Words and phrases that visitors may use instead; never spoken."""
    is_always: bool = False
    """Whether the answerer sees it with every question."""


@dataclass(frozen=True)
class Match:
    """A line and how well it fits a question."""

    fact: Fact
    score: float
    coverage: float
    """Share of the question, by rarity of its words, that the line holds; 0 to 1."""


@dataclass(frozen=True)
class _Meaning:
    """Something that a question asks about."""

    asked: frozenset[str]
    """The terms that the question has for it."""
    every: frozenset[str]
    """Those, and the others that visitors use for the same."""

    def likeness(self, line: dict[str, float]) -> float:
        if any(term in line for term in self.asked):
            return 1.0
        return _SAME_WEIGHT if any(term in line for term in self.every) else 0.0

    def place(self, line: dict[str, float]) -> float:
        return max((line[term] for term in self.every if term in line), default=0.0)


_NOWHERE = _Meaning(frozenset(), frozenset())


class FactsPage:
    """Facts one a line, searched by the rarity of the words they share with a question,
    in page order where equal.

    A line may end with other words for what it is about, in brackets, and begin with `!` if the
    answerer must always see it. Lines that begin with `#` are comments:

        # Building
        The restrooms are on the ground floor. [toilet, bathroom, where can I wash my hands]
        ! The museum closes early today, at four.
    """

    def __init__(self, facts: tuple[Fact, ...]) -> None:
        self.facts = facts
        self._lines = [_weights(fact) for fact in facts]
        self._known = frozenset(term for line in self._lines for term in line)

    @classmethod
    def parse(cls, text: str) -> FactsPage:
        """The page that `text` spells."""
        lines = (line.strip() for line in text.splitlines())
        return cls(tuple(_parse_line(line) for line in lines if line and not line.startswith("#")))

    def matches(self, question: str) -> list[Match]:
        """Lines that have anything in common with the question, best first."""
        # Looked up once: each rarity takes a walk over the page, and so does this search.
        rarities = [(group, self._rarity(group)) for group in self._groups(question)]
        total = sum(rarity for _, rarity in rarities)
        asked = f" {normalized(question)} "
        found = []
        for fact, line in zip(self.facts, self._lines, strict=True):
            held = [(group, group.likeness(line) * rarity) for group, rarity in rarities]
            score = sum(rarity * group.place(line) for group, rarity in held)
            coverage = sum(rarity for _, rarity in held) / total if total else 0.0
            if any(f" {normalized(phrase)} " in asked for phrase in fact.keywords):
                score, coverage = score + self._rarity(_NOWHERE), 1.0
            if score > 0:
                found.append(Match(fact, score, coverage))
        return sorted(found, key=lambda match: -match.score)

    def knows_words_of(self, question: str) -> bool:
        """Whether every meaningful word of the question is on the page (true if it has none)."""
        return all(self._rarity(group) < self._rarity(_NOWHERE) for group in self._groups(question))

    def _groups(self, question: str) -> list[_Meaning]:
        """The meanings in the question, each with the words that it was asked by."""
        asked: dict[frozenset[str], frozenset[str]] = {}
        for term in self._terms_of(question):
            every = same(term) | {term}
            asked[every] = asked.get(every, frozenset()) | {term}
        return [_Meaning(terms, every) for every, terms in asked.items()]

    def _terms_of(self, question: str) -> list[str]:
        joined = [term for term in joined_terms(question) if term in self._known]
        single = [t for t in terms(question) if not any(_is_part(t, whole) for whole in joined)]
        return [*single, *joined]

    def _rarity(self, group: _Meaning) -> float:
        """The inverse document frequency of a meaning, as in BM25; highest if no line has it."""
        count = sum(group.place(line) > 0 for line in self._lines)
        return math.log(1 + (len(self.facts) - count + 0.5) / (count + 0.5))


def _is_part(term: str, whole: str) -> bool:
    return term != whole and (whole.startswith(term) or whole.endswith(term))


def _weights(fact: Fact) -> dict[str, float]:
    """The terms of a line and what each counts for its place; keywords count as the first."""
    spoken = terms(fact.text)
    fall = (1 - _LAST_WEIGHT) / max(1, len(spoken) - 1)
    weights = {term: 1 - fall * at for at, term in reversed(list(enumerate(spoken)))}
    return weights | dict.fromkeys(terms(" ".join(fact.keywords)), 1.0)


def _parse_line(line: str) -> Fact:
    is_always = line.startswith("!")
    line = line.removeprefix("!").strip()
    brackets = _BRACKETS.search(line)
    if brackets is None:
        return Fact(line, (), is_always)
    keywords = tuple(word.strip() for word in brackets[1].split(",") if word.strip())
    return Fact(line[: brackets.start()].strip(), keywords, is_always)
