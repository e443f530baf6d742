"""A clause that is too long for one breath, cut into pieces that are spoken one after another."""

from __future__ import annotations

from halfsecond.models.llm.clauses import ClauseCutter

MAX_WORDS = 30
"""Sentences up to this length are spoken in one go: their melody is better, and their phonemes
are fewer than the 400 that hibari and Kokoro take at once."""


def speech_pieces(clause: str, *, max_words: int = MAX_WORDS) -> list[str]:
    """The sentences of a clause, long ones cut at their commas; joined they are the clause."""
    cutter = ClauseCutter(first_max_words=None, max_words=max_words)
    return cutter.push(clause) + cutter.flush()
