"""The stage that tells speech from silence; one state of the model per session."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.vad.silero import SileroVad
from halfsecond.stages.stage import Cancel

MAX_STATES = 64
"""Beyond this the oldest goes: its server may have ended without a word."""


@dataclass(frozen=True)
class VadRequest:
    """Audio of one session that follows what it sent before."""

    session: str
    samples: NDArray[np.float32]
    """(n,) mono 16 kHz, n a multiple of 512."""
    action: Literal["hear", "forget"] = "hear"


@dataclass(frozen=True)
class VadReply:
    """Speech probability of each window of 512 samples."""

    probabilities: list[float]


class VadStage:
    """Silero VAD on ONNX Runtime, one recurrent state per session."""

    name: ClassVar[str] = "vad"
    request_type: ClassVar[Any] = VadRequest
    reply_type: ClassVar[Any] = VadReply

    def __init__(self, model: Path) -> None:
        self._model = model
        self._sessions: dict[str, SileroVad] = {}

    def open(self) -> None:
        self._load()  # finds out now whether the model can be read

    def _load(self) -> SileroVad:
        return SileroVad(self._model)

    def run(self, request: VadRequest, cancel: Cancel) -> Iterator[VadReply]:
        del cancel  # a window takes a fraction of a millisecond
        if request.action == "forget":
            self._sessions.pop(request.session, None)
            return
        vad = self._sessions.get(request.session)
        if vad is None:
            if len(self._sessions) > MAX_STATES:
                self._sessions.pop(next(iter(self._sessions)))
            vad = self._sessions[request.session] = self._load()
        yield VadReply(vad.push(request.samples))

    def health(self) -> str:
        return f"{self._model.name}, {len(self._sessions)} sessions"

    def close(self) -> None:
        self._sessions.clear()
