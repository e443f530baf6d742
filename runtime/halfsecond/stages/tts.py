"""The stage that speaks a clause, and remembers what it has spoken."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from halfsecond.errors import UnsupportedModelError
from halfsecond.models.tts.voice import SPEECH_RATE_HZ, SpeaksAsAnybody, SpeechChunk, Voice
from halfsecond.stages.stage import Cancel
from halfsecond.voiceprint import decode_voiceprint

REMEMBERED_S = 90.0
"""Speech that is remembered besides what is kept for good: some 30 clauses, 9 MB."""

Spoken = tuple[SpeechChunk, ...]


@dataclass(frozen=True)
class TtsRequest:
    """A clause to speak."""

    text: str
    speed: float = 1.0
    is_kept: bool = False
    """It will be asked for again: its speech is never forgotten."""
    voiceprint: bytes = b""
    """Of the visitor that it is spoken as, and nothing is remembered; empty: the server's voice."""


class TtsStage:
    """A voice, opened on the stage's own thread.

    A clause that was spoken before is not made again: voices give the same clause the same sound.
    """

    name: ClassVar[str] = "tts"
    request_type: ClassVar[Any] = TtsRequest
    reply_type: ClassVar[Any] = SpeechChunk

    def __init__(
        self,
        open_voice: Callable[[], Voice],
        *,
        label: str,
        remembered_s: float = REMEMBERED_S,
        rendered: Callable[[], Mapping[tuple[str, float], Spoken]] | None = None,
    ) -> None:
        """remembered_s: 0 makes every clause anew. rendered: gives clauses, with their speed, that
        were spoken before this process was started."""
        self._open_voice = open_voice
        self._rendered = rendered
        self._label = label
        self._remembered_s = remembered_s
        self._kept: dict[tuple[str, float], Spoken] = {}
        self._recent: OrderedDict[tuple[str, float], Spoken] = OrderedDict()
        self._recent_s = 0.0

    def open(self) -> None:
        self._voice = self._open_voice()
        if self._rendered is not None:
            self._kept.update(self._rendered())

    def run(self, request: TtsRequest, cancel: Cancel) -> Iterator[SpeechChunk]:
        if request.voiceprint:
            yield from self._as_visitor(request, cancel)
            return
        key = (request.text.strip(), request.speed)
        known = self._kept.get(key) or self._recent.get(key)
        if known is not None:
            yield from known
            return
        spoken: list[SpeechChunk] = []
        for chunk in self._voice.speak(request.text, speed=request.speed):
            if cancel.is_set():
                return
            spoken.append(chunk)
            yield chunk
        if request.is_kept:
            self._kept[key] = tuple(spoken)
        else:
            self._remember(key, tuple(spoken))

    def _as_visitor(self, request: TtsRequest, cancel: Cancel) -> Iterator[SpeechChunk]:
        voice = self._voice
        if not isinstance(voice, SpeaksAsAnybody):
            raise UnsupportedModelError(
                f"{self._label} cannot speak as somebody else; a voice that takes voiceprints does "
                "(`halfsecond export tts`, and tts.model)"
            )
        own = voice.voiceprint
        voice.voiceprint = decode_voiceprint(request.voiceprint, "the upload")
        try:
            for chunk in self._voice.speak(request.text, speed=request.speed):
                if cancel.is_set():
                    return
                yield chunk
        finally:
            voice.voiceprint = own

    def _remember(self, key: tuple[str, float], spoken: Spoken) -> None:
        """Takes the newest in; the oldest go."""
        self._recent[key] = spoken
        self._recent_s += _length_s(spoken)
        while self._recent_s > self._remembered_s:
            _, oldest = self._recent.popitem(last=False)
            self._recent_s -= _length_s(oldest)

    def health(self) -> str:
        return self._label

    def close(self) -> None:
        self._kept.clear()
        self._recent.clear()
        self._voice.close()


def _length_s(spoken: Spoken) -> float:
    return sum(len(chunk.samples) for chunk in spoken) / SPEECH_RATE_HZ
