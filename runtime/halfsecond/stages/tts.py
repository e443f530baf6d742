"""The stage that speaks a clause."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from halfsecond.models.tts.voice import SpeechChunk, Voice
from halfsecond.stages.stage import Cancel


@dataclass(frozen=True)
class TtsRequest:
    """A clause to speak."""

    text: str
    speed: float = 1.0


class TtsStage:
    """A voice, opened on the stage's own thread."""

    name: ClassVar[str] = "tts"
    request_type: ClassVar[Any] = TtsRequest
    reply_type: ClassVar[Any] = SpeechChunk

    def __init__(self, open_voice: Callable[[], Voice], *, label: str) -> None:
        self._open_voice = open_voice
        self._label = label

    def open(self) -> None:
        self._voice = self._open_voice()

    def run(self, request: TtsRequest, cancel: Cancel) -> Iterator[SpeechChunk]:
        for chunk in self._voice.speak(request.text, speed=request.speed):
            if cancel.is_set():
                return
            yield chunk

    def health(self) -> str:
        return self._label

    def close(self) -> None:
        self._voice.close()
