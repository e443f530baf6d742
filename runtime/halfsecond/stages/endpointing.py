"""Whether the visitor has finished, judged live while a silence lasts."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from halfsecond import config as settings
from halfsecond.errors import HalfsecondError
from halfsecond.models.turn.endpoint import EndpointConfig, Evidence, required_silence_s
from halfsecond.stages.endpoint import EndpointReply, EndpointRequest
from halfsecond.stages.stage import Cancel, StageHandle

log = structlog.get_logger(__name__)


class Endpointing:
    """Gathers what is known of one pause after another, and how much silence it has to last."""

    def __init__(
        self,
        config: settings.EndpointConfig,
        stage: StageHandle[EndpointRequest, EndpointReply] | None,
        *,
        language: str | None,
        start: Callable[[Coroutine[Any, Any, None]], None],
        on_verdict: Callable[[], None],
    ) -> None:
        """stage: judges by sound; None in plain-silence mode. on_verdict: called when it has."""
        self._policy = policy_of(config)
        self._shortest_s = config.shortest_silence_s
        self._stage = stage
        self._language = language
        self._start = start
        self._on_verdict = on_verdict
        self._completeness: float | None = None
        self._asked = Cancel()
        self._is_asked = False

    def ask(self, utterance: Callable[[], NDArray[np.float32]]) -> None:
        """Has the sound judged, once in a silence; `utterance` gives it, (n,) mono 16 kHz.

        It takes a core for some 50 ms, so it is for when words alone have not settled the matter.
        """
        if self._stage is not None and not self._is_asked:
            self._is_asked = True
            self._asked = Cancel()
            self._start(self._ask(self._stage, utterance(), self._asked))

    def resumed(self) -> None:
        """The silence is over, or of no interest any more."""
        self._asked.set()
        self._is_asked = False
        self._completeness = None

    def is_settled(self, words: str, sentence_end: float | None = None) -> bool:
        """Whether nothing more that is found out could end the turn sooner after these words."""
        return self.required_silence_s(words, sentence_end) <= self._shortest_s

    def required_silence_s(self, words: str | None, sentence_end: float | None = None) -> float:
        """The silence that ends the turn, as far as is known by now.

        words: the transcript, once it is known. sentence_end: a language model's probability that
        the question ends there.
        """
        evidence = Evidence(
            completeness=self._completeness,
            text=words,
            sentence_end=sentence_end,
            language=self._language,
        )
        return required_silence_s(evidence, self._policy)

    async def _ask(
        self,
        stage: StageHandle[EndpointRequest, EndpointReply],
        samples: NDArray[np.float32],
        asked: Cancel,
    ) -> None:
        try:
            async for reply in stage.run(EndpointRequest(samples), asked):
                if not asked.is_set():
                    self._completeness = reply.completeness
                    self._on_verdict()
        except HalfsecondError as error:
            log.error("cannot tell by sound whether a turn is over", error=str(error))


def policy_of(config: settings.EndpointConfig) -> EndpointConfig:
    """The policy that the config asks for."""
    return EndpointConfig(
        mode=config.mode,
        silence_s=config.silence_s,
        complete_silence_s=config.complete_silence_s,
        unsure_silence_s=config.unsure_silence_s,
        incomplete_silence_s=config.incomplete_silence_s,
        complete_above=config.complete_above,
        incomplete_below=config.incomplete_below,
    )
