"""Guessing the next tokens, so that one pass of the network can check several.

A network takes hardly longer for a few tokens than for one, and tells for each of them what it
would have written itself. Guesses that agree are kept (speculative decoding, Leviathan et al. 2023;
from the prompt's own words, Saxena 2023), so the answer is the same as without, only sooner.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from halfsecond.models.llm.answerer import Message

# How much of the text before an answer must stand before another one to find it by.
_LEAD_CHARACTERS = 16

# A repeated pair of tokens is followed by the same again often enough; a single one is not.
_LONGEST_MATCH, _SHORTEST_MATCH = 4, 2


def expected_answer(messages: Sequence[Message]) -> str:
    """The answer, if it is taken out of the question as the answer before was; else nothing.

    Where the last answer stood word for word in its question ('Say exactly: "..."'), what stands
    between the same words in this question will be said next.
    """
    pairs = list(pairwise(messages[:-1]))
    answered = [(q.content, a.content) for q, a in pairs if (q.role, a.role) == _TURN]
    if not answered or messages[-1].role != "user":
        return ""
    asked, told = answered[-1]
    at = asked.rfind(told)
    lead = asked[max(0, at - _LEAD_CHARACTERS) : at].rpartition("\n")[2]
    if not told or at < 0 or not lead:
        return ""
    _, found, rest = messages[-1].content.rpartition(lead)
    tail = asked[at + len(told) :]
    return rest.removesuffix(tail) if found and rest.endswith(tail) else ""


_TURN = ("user", "assistant")


class Drafter:
    """Guesses for one answer, from its prompt, from what is expected, and from itself."""

    def __init__(self, prompt: Sequence[int], expected: Sequence[int]) -> None:
        """`expected`: the tokens of `expected_answer`, which may turn out wrong."""
        self._prompt = list(prompt)
        self._expected = list(expected)

    def draft(self, answer: Sequence[int], *, longest: int) -> list[int]:
        """Up to `longest` tokens that may come after those of `answer`; often none."""
        if longest <= 0:
            return []
        said = len(answer)
        if list(answer) == self._expected[:said]:
            return self._expected[said : said + longest]
        return _continuation([*self._prompt, *answer], longest)


def _continuation(tokens: list[int], longest: int) -> list[int]:
    """What followed where the last tokens stood before; the longest and latest match counts."""
    for count in range(_LONGEST_MATCH, _SHORTEST_MATCH - 1, -1):
        ending = tokens[-count:]
        for at in range(len(tokens) - count - 1, -1, -1):
            if tokens[at : at + count] == ending:
                return tokens[at + count : at + count + longest]
    return []
