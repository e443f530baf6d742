"""The stage that turns an utterance into words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.asr.recognizer import Recognizer, Transcript
from halfsecond.sessions.session import Device
from halfsecond.stages.stage import Cancel


@dataclass(frozen=True)
class AsrRequest:
    """One utterance."""

    samples: NDArray[np.float32]
    """(n,) mono 16 kHz, at most 30 s."""
    language: str | None = None
    prompt: str = ""
    """What was said before."""
    begins_with: str = ""
    """The first words, where they are known; the transcript goes on after them."""
    has_times: bool = False
    """Whether the words are wanted one by one."""


class AsrStage:
    """Whisper."""

    name: ClassVar[str] = "asr"
    request_type: ClassVar[Any] = AsrRequest
    reply_type: ClassVar[Any] = Transcript

    def __init__(
        self, model: Path, *, threads: int, margin_s: float, device: Device = "cpu"
    ) -> None:
        self._model = model
        self._device: Device = device
        self._threads = threads
        self._margin_s = margin_s

    def open(self) -> None:
        # SciPy's FFT takes a quarter of a second to import; commands that hear nothing wait less.
        from halfsecond.models.asr.whisper import Whisper

        self._recognizer: Recognizer = Whisper(
            self._model, threads=self._threads, margin_s=self._margin_s, device=self._device
        )

    def run(self, request: AsrRequest, cancel: Cancel) -> Iterator[Transcript]:
        if cancel.is_set():
            return
        transcript = self._recognizer.transcribe(
            request.samples,
            language=request.language,
            prompt=request.prompt,
            begins_with=request.begins_with,
            has_times=request.has_times,
            should_stop=cancel.is_set,
        )
        if not cancel.is_set():
            yield transcript

    def health(self) -> str:
        return f"{self._model.name}, {self._threads} threads"

    def close(self) -> None:
        self._recognizer.close()
