"""What a turn needs to know of its session and the config."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from halfsecond import wire
from halfsecond.models.llm.answerer import Message, Sampling
from halfsecond.stages.phrases import Phrases

BuildMessages = Callable[[str], Sequence[Message]]
"""The conversation that asks a question: persona, facts, history and the question."""


@dataclass(frozen=True)
class TurnSettings:
    """Fixed when the turn begins."""

    session: str
    number: int
    generation: int
    sampling: Sampling
    speed: float
    video: wire.VideoFormat
    build_messages: BuildMessages
    build_judged: BuildMessages
    """The same as far as it is the visitor's: what the model judges before it answers."""
    phrases: Phrases
    is_settled: Callable[[str], bool]
    """Whether the end of the question needs no judgement of the model any more."""
    avatar: str = ""
    """The face that the client wants; empty: the server's."""
    voiceprint: bytes = b""
    """Of the visitor that it is spoken as; empty: the server's voice."""
    fps: int = 0
    """How many pictures of speech a second it wants; 0: the server's."""

    def envelope(self, pts_s: float = 0.0, seq: int = 0) -> dict[str, Any]:
        """The fields that every message of the turn has."""
        return {
            "session": self.session,
            "turn": self.number,
            "generation": self.generation,
            "seq": seq,
            "pts": round(pts_s, 6),
        }
