"""The stage that tells finished turns from pauses by their sound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from halfsecond.stages.stage import Cancel

WARM_UP_SAMPLES = 16_000


@dataclass(frozen=True)
class EndpointRequest:
    """An utterance up to now, the silence after it included."""

    samples: NDArray[np.float32]
    """(n,) mono 16 kHz; of more than 8 s the newest count."""


@dataclass(frozen=True)
class EndpointReply:
    """How likely the visitor has finished, 0 to 1."""

    completeness: float


class EndpointStage:
    """Smart Turn on ONNX Runtime."""

    name: ClassVar[str] = "endpoint"
    request_type: ClassVar[Any] = EndpointRequest
    reply_type: ClassVar[Any] = EndpointReply

    def __init__(self, model: Path) -> None:
        self._model = model

    def open(self) -> None:
        # As for asr: SciPy's FFT takes a quarter of a second to import.
        from halfsecond.models.turn.smart_turn import SmartTurn

        self._smart_turn = SmartTurn(self._model)
        self._smart_turn.probability(np.zeros(WARM_UP_SAMPLES, np.float32))

    def run(self, request: EndpointRequest, cancel: Cancel) -> Iterator[EndpointReply]:
        if not cancel.is_set():
            yield EndpointReply(self._smart_turn.probability(request.samples))

    def health(self) -> str:
        return self._model.name

    def close(self) -> None:
        del self._smart_turn
