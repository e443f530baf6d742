"""Engines without models: what they say is scripted, how long they take is theirs to tell."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from halfsecond.errors import StageError
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

CLAUSE_S = 0.4
"""Length of every clause that the fake voice speaks."""
FPS = 25


class FakeStage:
    """Opens and closes; `gate` holds every reply back while it is cleared."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.requests: list[Any] = []
        self.fault = ""

    def open(self) -> None:
        pass

    def health(self) -> str:
        return "fake"

    def close(self) -> None:
        self.gate.set()

    def take(self, request: Any) -> None:
        self.requests.append(request)
        if self.fault:
            fault, self.fault = self.fault, ""
            raise StageError(fault)
        self.gate.wait(10)


class FakeVad(FakeStage):
    """A window is speech when it is loud."""

    name: ClassVar[str] = "vad"
    request_type: ClassVar[Any] = VadRequest
    reply_type: ClassVar[Any] = VadReply

    def run(self, request: VadRequest, cancel: Cancel) -> Iterator[VadReply]:
        self.gate.wait(10)
        windows = request.samples.reshape(-1, 512)
        yield VadReply([float(np.abs(window).max() > 0.05) for window in windows])


class FakeAsr(FakeStage):
    """Hears `text` whatever was said."""

    name: ClassVar[str] = "asr"
    request_type: ClassVar[Any] = AsrRequest
    reply_type: ClassVar[Any] = Transcript
    text = "When do you close?"

    def run(self, request: AsrRequest, cancel: Cancel) -> Iterator[Transcript]:
        self.take(request)
        yield Transcript(self.text, "en", 0.0, -0.2, 3.0)


class FakeLlm(FakeStage):
    """Answers `pieces`."""

    name: ClassVar[str] = "llm"
    request_type: ClassVar[Any] = LlmRequest
    reply_type: ClassVar[Any] = LlmReply
    pieces: tuple[str, ...] = ("We close", " at five.", " Come again", " tomorrow.")

    def __init__(self) -> None:
        super().__init__()
        self.made = 0
        self.others: list[str] = []

    def run(self, request: LlmRequest, cancel: Cancel) -> Iterator[LlmReply]:
        if request.action != "answer":
            self.others.append(request.action)
            return
        self.take(request)
        for piece in self.pieces:
            if cancel.is_set():
                return
            self.made += 1
            yield LlmReply(piece)


class FakeTts(FakeStage):
    """A tone for each clause."""

    name: ClassVar[str] = "tts"
    request_type: ClassVar[Any] = TtsRequest
    reply_type: ClassVar[Any] = SpeechChunk

    def run(self, request: TtsRequest, cancel: Cancel) -> Iterator[SpeechChunk]:
        self.take(request)
        at_s = np.arange(int(CLAUSE_S * SPEECH_RATE_HZ)) / SPEECH_RATE_HZ
        yield SpeechChunk((0.3 * np.sin(2 * np.pi * 220 * at_s)).astype(np.float32), request.text)


class FakeLipSync(FakeStage):
    """A picture of two bytes for each 40 ms of speech."""

    name: ClassVar[str] = "lipsync"
    request_type: ClassVar[Any] = LipSyncRequest
    reply_type: ClassVar[Any] = Picture

    def __init__(self) -> None:
        super().__init__()
        self.fed: dict[str, int] = {}
        self.worn: dict[str, bytes] = {}
        """Faces that visitors brought, by session."""
        self.seen: list[LipSyncRequest] = []
        self.drawn: dict[str, int] = {}

    def run(self, request: LipSyncRequest, cancel: Cancel) -> Iterator[Picture]:
        session = request.session
        self.seen.append(request)
        if request.action == "begin":
            self.fed[session] = self.drawn[session] = 0
        elif request.action == "feed":
            self.take(request)
            self.fed[session] += len(request.samples)
            fps = request.fps or FPS
            while (self.drawn[session] + 1) * 16_000 <= fps * self.fed[session]:
                if cancel.is_set():
                    return
                yield self._picture(self.drawn[session] / fps, is_driven=True)
                self.drawn[session] += 1
        elif request.action == "wear":
            self.worn[session] = request.face
        elif request.action == "close":
            self.worn.pop(session, None)
        elif request.action in ("idle", "open"):
            yield self._picture(0.0, is_driven=False)

    @staticmethod
    def _picture(pts_s: float, *, is_driven: bool) -> Picture:
        return Picture(b"\xff\xd8", "jpeg", 64, 64, pts_s, 0.5 if is_driven else 0.0, is_driven)


class FakeEngines:
    """One of each, and the handles that a server takes."""

    def __init__(self) -> None:
        self.vad, self.asr, self.llm = FakeVad(), FakeAsr(), FakeLlm()
        self.tts, self.lipsync = FakeTts(), FakeLipSync()

    def handles(self) -> Engines:
        return Engines(
            vad=LocalStage(self.vad),
            endpoint=None,
            asr=LocalStage(self.asr),
            llm=LocalStage(self.llm),
            tts=LocalStage(self.tts),
            lipsync=LocalStage(self.lipsync),
        )

    def release(self) -> None:
        """Lets everything that is held back go."""
        for stage in (self.vad, self.asr, self.llm, self.tts, self.lipsync):
            stage.gate.set()
