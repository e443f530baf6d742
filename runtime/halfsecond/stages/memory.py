"""What a session remembers: the conversation so far, and the model's cache of it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Literal

from halfsecond.errors import HalfsecondError
from halfsecond.models.llm.answerer import Message, Sampling
from halfsecond.models.llm.persona import Persona, build_messages, opening, up_to_question
from halfsecond.stages.llm import LlmReply, LlmRequest
from halfsecond.stages.stage import Cancel, StageHandle


class Memory:
    """The last turns of one visitor, as they were heard."""

    def __init__(
        self,
        persona: Persona,
        llm: StageHandle[LlmRequest, LlmReply],
        *,
        sampling: Sampling,
        turns: int,
    ) -> None:
        """turns: how many are kept."""
        self._persona = persona
        self._llm = llm
        self._sampling = sampling
        self._turns = turns
        self._history: list[Message] = []

    def messages(self, question: str) -> Sequence[Message]:
        """The conversation that asks `question`: persona, facts, history, and the question."""
        return build_messages(self._persona, self._history, question)

    def judged(self, question: str) -> Sequence[Message]:
        """The same as far as it is known to be the visitor's: without facts beside the question."""
        return up_to_question(self._persona, self._history, question)

    def remember(self, question: str, heard: str) -> None:
        """A question and as much of its answer as was heard."""
        self._history += [Message("user", question), Message("assistant", heard)]
        self._history = self._history[-2 * self._turns :] if self._turns else []

    async def prefill(self) -> None:
        """Takes what every next question begins with into the model's cache."""
        await self._ask("prefill", list(opening(self._persona, self._history)))

    def clear(self) -> None:
        """Forgets the visitor."""
        self._history.clear()

    async def forget(self) -> None:
        """Takes what visitors said out of the model's cache; for when the last one has left."""
        await self._ask("forget", [])

    async def _ask(self, action: Literal["prefill", "forget"], messages: list[Message]) -> None:
        request = LlmRequest(messages, self._sampling, action)
        with contextlib.suppress(HalfsecondError):  # the next answer itself will report it
            async for _ in self._llm.run(request, Cancel()):
                pass
