"""Engines that answer at once: with them a server shows what everything but models takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from halfsecond.models.asr.recognizer import Transcript
from halfsecond.models.tts.voice import SPEECH_RATE_HZ, SpeechChunk
from halfsecond.stages.asr import AsrRequest
from halfsecond.stages.engines import Engines
from halfsecond.stages.lipsync import LipSyncRequest, Picture
from halfsecond.stages.llm import LlmReply, LlmRequest
from halfsecond.stages.local import LocalStage
from halfsecond.stages.stage import Cancel
from halfsecond.stages.tts import TtsRequest
from halfsecond.stages.vad import VadReply, VadRequest

QUESTION = "When does the museum close?"
ANSWER = "The museum closes at five. Come back tomorrow."
CHARACTER_S = 0.065
"""What a character takes to say: hibari says the demonstration's answers at 15 a second."""
PICTURE_BYTES = 36_000
"""A JPEG of the demonstration portrait, 512 × 512 at quality 85, has 30 000 to 40 000."""
LOUD = 0.05
"""A window with a sample above this is speech."""
FPS = 25
LIPSYNC_RATE_HZ = 16_000


class InstantStage:
    """Opens and closes without anything to load."""

    def open(self) -> None:
        pass

    def health(self) -> str:
        return "answers at once"

    def close(self) -> None:
        pass


class EnergyVad(InstantStage):
    """A window is speech when it is loud."""

    name: ClassVar[str] = "vad"
    request_type: ClassVar[Any] = VadRequest
    reply_type: ClassVar[Any] = VadReply

    def run(self, request: VadRequest, cancel: Cancel) -> Iterator[VadReply]:
        del cancel
        windows = np.abs(request.samples).reshape(-1, 512)
        yield VadReply((windows.max(axis=1) > LOUD).astype(float).tolist())


class CannedAsr(InstantStage):
    """Hears the same question in everything."""

    name: ClassVar[str] = "asr"
    request_type: ClassVar[Any] = AsrRequest
    reply_type: ClassVar[Any] = Transcript

    def run(self, request: AsrRequest, cancel: Cancel) -> Iterator[Transcript]:
        del request, cancel
        yield Transcript(QUESTION, "en", 0.0, -0.2, 3.0)


class CannedLlm(InstantStage):
    """Gives the same answer, a word at a time."""

    name: ClassVar[str] = "llm"
    request_type: ClassVar[Any] = LlmRequest
    reply_type: ClassVar[Any] = LlmReply

    def run(self, request: LlmRequest, cancel: Cancel) -> Iterator[LlmReply]:
        if request.action != "answer":
            return
        for number, word in enumerate(ANSWER.split(" ")):
            if cancel.is_set():
                return
            yield LlmReply(f" {word}" if number else word)


class ToneVoice(InstantStage):
    """Speaks a clause as a tone that lasts as long."""

    name: ClassVar[str] = "tts"
    request_type: ClassVar[Any] = TtsRequest
    reply_type: ClassVar[Any] = SpeechChunk

    def __init__(self) -> None:
        at_s = np.arange(10 * SPEECH_RATE_HZ) / SPEECH_RATE_HZ
        self._tone = (0.3 * np.sin(2 * np.pi * 220 * at_s)).astype(np.float32)

    def run(self, request: TtsRequest, cancel: Cancel) -> Iterator[SpeechChunk]:
        del cancel
        samples = int(CHARACTER_S * len(request.text.strip()) * SPEECH_RATE_HZ)
        yield SpeechChunk(self._tone[:samples].copy(), request.text)


class PreparedFace(InstantStage):
    """Shows bytes of a picture's size, as many as the speech lasts."""

    name: ClassVar[str] = "lipsync"
    request_type: ClassVar[Any] = LipSyncRequest
    reply_type: ClassVar[Any] = Picture

    def __init__(self) -> None:
        self._data = np.random.default_rng(0).bytes(PICTURE_BYTES)
        self._fed: dict[str, int] = {}
        self._drawn: dict[str, int] = {}

    def run(self, request: LipSyncRequest, cancel: Cancel) -> Iterator[Picture]:
        session = request.session
        if request.action == "begin":
            self._fed[session] = self._drawn[session] = 0
        elif request.action == "feed":
            self._fed[session] += len(request.samples)
            whole = self._fed[session] * FPS // LIPSYNC_RATE_HZ
            while self._drawn[session] < whole and not cancel.is_set():
                yield self._picture(self._drawn[session] / FPS, is_driven=True)
                self._drawn[session] += 1
        elif request.action == "idle":
            yield self._picture(0.0, is_driven=False)

    def _picture(self, pts_s: float, *, is_driven: bool) -> Picture:
        mouth = 0.5 if is_driven else 0.0
        return Picture(self._data, "jpeg", 512, 512, pts_s, mouth, is_driven)


def instant_engines() -> Engines:
    """The handles that a server takes; for `[endpoint] mode = "silence"`."""
    return Engines(
        vad=LocalStage(EnergyVad()),
        endpoint=None,
        asr=LocalStage(CannedAsr()),
        llm=LocalStage(CannedLlm()),
        tts=LocalStage(ToneVoice()),
        lipsync=LocalStage(PreparedFace()),
    )
