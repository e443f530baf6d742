"""The models that the other sides run: our weights, each at the thread count that is fastest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from halfsecond.assets import asset
from halfsecond.config import Config
from halfsecond.models.asr.network import FULL_CONTEXT_S
from halfsecond.models.asr.whisper import Whisper
from halfsecond.models.face.finder import FaceFinder
from halfsecond.models.face.portrait import load_portrait
from halfsecond.models.lipsync.compositor import Compositor
from halfsecond.models.lipsync.wav2lip_network import Wav2LipNetwork
from halfsecond.models.llm.answerer import Answerer
from halfsecond.models.llm.persona import build_messages, opening
from halfsecond.models.tts.voice import Voice
from halfsecond.stages import openers
from halfsecond.stages.engines import sampling_of
from halfsecond.store import Store
from halfsecond_bench.compare import recognition
from halfsecond_bench.compare.sequential import BATCH_FRAMES, SequentialRecipe, WholeFilm
from halfsecond_bench.compare.threads import Run, candidates, fastest
from halfsecond_export.wav2lip.untrained import random_inputs

PEERS = {"faster_whisper": "faster-whisper", "pipecat": "pipecat-ai"}
"""Modules of the extra `peers`, and the packages that hold them."""
OTHERS_LLM = "smollm2-135m-int8"
"""SmolLM2 as others run it: CTranslate2, INT8, a token at a time; of the same file of weights as
the default of ours."""
OTHERS_ASR = "whisper-tiny.en"
"""Whisper as others run it: CTranslate2; the weights that the default of ours was made from."""
QUESTION = "When does the museum close?"


def missing_peers() -> list[str]:
    """Packages of the extra `peers` that are not installed."""
    return [package for module, package in PEERS.items() if find_spec(module) is None]


@dataclass(frozen=True)
class Others:
    """Opens what the other sides need."""

    config: Config
    """Ours, with the models of the other sides."""
    store: Store
    wav2lip: Path
    """The fp32 generator."""

    def threads(self, samples: NDArray[np.float32]) -> dict[str, int]:
        """The fastest thread counts by stage, measured on a recording of (n,) mono 16 kHz."""
        counts = candidates()
        makes: dict[str, Callable[[int], Run]] = {
            "asr": lambda count: partial(self._whisper(count).transcribe, samples),
            "llm": lambda count: self._one_answer(count),
            "lipsync": self._one_batch,
        }
        if find_spec("faster_whisper") is not None:
            makes["faster_whisper"] = lambda count: partial(self.greedy(count), samples)
        return {name: fastest(counts, make) for name, make in makes.items()}

    def greedy(self, threads: int) -> recognition.Transcribe:
        """faster-whisper's greedy call."""
        return recognition.call(self.faster_whisper(threads), **recognition.GREEDY)

    def faster_whisper(self, threads: int) -> Any:
        """The `faster_whisper.WhisperModel`."""
        directory = self.store.path(self.config.asr.model)
        return recognition.open_faster_whisper(directory, threads=threads)

    def think(self, threads: int) -> Callable[[str, Callable[[], bool]], Iterator[str]]:
        """What answers a question piece by piece until it is told to stop, as our server would."""
        persona, sampling = openers.open_persona(self.config), sampling_of(self.config)
        answerer = self._answerer(threads)
        answerer.prefill(opening(persona, []))

        def think(question: str, is_cancelled: Callable[[], bool]) -> Iterator[str]:
            messages = build_messages(persona, [], question)
            return answerer.answer(messages, sampling=sampling, is_cancelled=is_cancelled)

        return think

    def voice(self) -> Voice:
        """The voice of the config."""
        return openers.open_voice(self.config.tts, self.store.path(self.config.tts.model))

    def recipe(self, threads: dict[str, int], *, voice: Voice) -> SequentialRecipe[Any]:
        """The sequential recipe on these models."""
        think, whisper = self.think(threads["llm"]), self._whisper(threads["asr"])
        face = self.config.face
        film = WholeFilm(self.wav2lip, self._compositor(), threads=threads["lipsync"], fps=face.fps)
        return SequentialRecipe(
            hear=lambda samples: whisper.transcribe(samples, language="en").text,
            think=lambda question: "".join(think(question, lambda: False)),
            speak=lambda text: np.concatenate([chunk.samples for chunk in voice.speak(text)]),
            draw=film.draw,
        )

    def _whisper(self, threads: int) -> Whisper:
        """Greedy, in Whisper's own 30 s."""
        directory = self.store.path(self.config.asr.model)
        return Whisper(directory, threads=threads, margin_s=FULL_CONTEXT_S)

    def _answerer(self, threads: int) -> Answerer:
        llm = msgspec.structs.replace(self.config.llm, threads=threads)
        return openers.open_answerer(llm, self.store.path(llm.model))

    def _one_answer(self, threads: int) -> Run:
        think = self.think(threads)
        return lambda: list(think(QUESTION, lambda: False))

    def _one_batch(self, threads: int) -> Run:
        network = Wav2LipNetwork(self.wav2lip, threads=threads)
        return partial(network.draw, *random_inputs(BATCH_FRAMES))

    def _compositor(self) -> Compositor:
        face, models = self.config.face, self.store.path(self.config.face.model)
        finder = FaceFinder(models / "face_detector.onnx", models / "face_landmarks.onnx")
        picture = Path(face.portrait) if face.portrait else asset(openers.DEMO_PORTRAIT)
        return Compositor(load_portrait(picture, finder, size=(face.width, face.height)))
