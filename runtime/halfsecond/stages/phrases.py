"""What is said again and again: greeting, openings and the answers to preset questions."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from halfsecond.config import PhrasesConfig
from halfsecond.errors import HalfsecondError
from halfsecond.models.llm.clauses import ClauseCutter
from halfsecond.models.tts.voice import SpeechChunk
from halfsecond.stages.stage import Cancel, StageHandle
from halfsecond.stages.tts import TtsRequest


class Phrases:
    """The phrases of a config; the voice keeps the sound of each, so that it comes at once."""

    def __init__(self, config: PhrasesConfig) -> None:
        self.greeting = config.greeting.strip()
        self.questions = [preset.question for preset in config.presets]
        """In the order of the config, as buttons may show them."""
        self._openings = [opening.strip() for opening in config.openings if opening.strip()]
        self._answers = {_bare(preset.question): preset.answer.strip() for preset in config.presets}

    def answer_to(self, question: str) -> str | None:
        """The preset answer; None unless the question has the words of a preset one."""
        return self._answers.get(_bare(question))

    def opening(self, turn: int) -> str | None:
        """What a turn may begin with while its answer is still being made, one after another."""
        return self._openings[turn % len(self._openings)] if self._openings else None

    def clauses(self) -> Iterator[str]:
        """Every clause as a turn will ask the voice for it."""
        for text in (self.greeting, *self._openings, *self._answers.values()):
            cutter = ClauseCutter()
            yield from (*cutter.push(text), *cutter.flush())

    async def render(self, tts: StageHandle[TtsRequest, SpeechChunk], *, speed: float) -> None:
        """Has the voice speak each clause once, for its memory; one that fails is left out."""
        for clause in self.clauses():
            with contextlib.suppress(HalfsecondError):  # the turn that needs it will report it
                async for _ in tts.run(TtsRequest(clause, speed, is_kept=True), Cancel()):
                    pass


def _bare(text: str) -> str:
    """Lower-case words with a space between them, and no punctuation."""
    return " ".join(re.findall(r"\w+", text.lower()))
