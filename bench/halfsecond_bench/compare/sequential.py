"""The recipe that most tutorials show: one stage after another, each over everything, then play."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from halfsecond import audio
from halfsecond.errors import AudioError
from halfsecond.models.lipsync.compositor import Compositor
from halfsecond.models.lipsync.mel import WINDOW_STEPS, first_step, mel_spectrogram
from halfsecond.models.lipsync.wav2lip_network import Wav2LipNetwork, face_input
from halfsecond.models.tts.voice import SPEECH_RATE_HZ
from halfsecond.timeline import Now, monotonic

PAUSE_THRESHOLD_S = 0.8
"""Silence that ends the visitor's turn: the default of `SpeechRecognition`
(`Recognizer.pause_threshold`), which most such tutorials record with."""
BATCH_FRAMES = 16
"""Frames that Wav2Lip draws at a time. Its script takes 128, for a GPU."""

_Film = TypeVar("_Film")
Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Played:
    """One answer, ready as a whole, and how long each stage took."""

    heard: str
    answer: str
    stages_ms: dict[str, float]
    speech_s: float
    frames: int

    @property
    def work_ms(self) -> float:
        """From the first model call until there is something to play."""
        return sum(self.stages_ms.values())


@dataclass(frozen=True)
class SequentialRecipe(Generic[_Film]):
    """Hear, think, speak and draw, in turn; each gives all of its result before the next begins.

    hear: (n,) 16 kHz to words. think: words to the whole answer. speak: the answer to (n,) 24 kHz.
    draw: (n,) 16 kHz to all frames.
    """

    hear: Callable[[Samples], str]
    think: Callable[[str], str]
    speak: Callable[[str], Samples]
    draw: Callable[[Samples], Sequence[_Film]]
    now: Now = monotonic

    def answer(self, samples: Samples) -> Played:
        """Answers one recording of (n,) mono 16 kHz, which has ended."""
        times_s = [self.now()]

        def done(result: Any) -> Any:
            times_s.append(self.now())
            return result

        heard: str = done(self.hear(samples))
        answer: str = done(self.think(heard))
        speech: Samples = done(self.speak(answer))
        lips = audio.resample(speech, from_hz=SPEECH_RATE_HZ, to_hz=16_000)
        frames: Sequence[_Film] = done(self.draw(lips))
        names = ("asr", "llm", "tts", "lipsync")
        stages = zip(names, times_s, times_s[1:], strict=False)
        return Played(
            heard=heard,
            answer=answer,
            stages_ms={name: round(1000 * (end - start), 2) for name, start, end in stages},
            speech_s=round(len(speech) / SPEECH_RATE_HZ, 3),
            frames=len(frames),
        )


class WholeFilm:
    """Every frame of a speech through Wav2Lip, pasted into the portrait, as its script does it."""

    def __init__(self, model: Path, compositor: Compositor, *, threads: int, fps: int) -> None:
        self._network = Wav2LipNetwork(model, threads=threads)
        self._portrait = compositor.portrait.image
        self._box = compositor.face_box
        self._fps = fps
        x0, y0, x1, y1 = self._box
        self._face = face_input(self._portrait[y0:y1, x0:x1], self._network.patch_px)

    def draw(self, samples: Samples) -> list[NDArray[np.uint8]]:
        """(h, w, 3) RGB frames for (n,) mono 16 kHz."""
        windows = sound_windows(samples, fps=self._fps)
        frames: list[NDArray[np.uint8]] = []
        for start in range(0, len(windows), BATCH_FRAMES):
            drawn = self._network.draw(windows[start : start + BATCH_FRAMES], self._face)
            frames += [self._pasted(patch) for patch in drawn]
        return frames

    def _pasted(self, patch: NDArray[np.uint8]) -> NDArray[np.uint8]:
        import cv2

        x0, y0, x1, y1 = self._box
        frame = np.array(self._portrait)
        frame[y0:y1, x0:x1] = cv2.resize(patch, (x1 - x0, y1 - y0))
        return frame


def sound_windows(samples: Samples, *, fps: int) -> NDArray[np.float32]:
    """What the network hears for each frame, (n, 1, bands, steps), the last one flush with the
    end (Wav2Lip's `inference.py`)."""
    steps = mel_spectrogram(samples)
    last = len(steps) - WINDOW_STEPS
    if last < 0:
        raise AudioError(
            f"{len(samples)} samples are less than the 200 ms that Wav2Lip hears for one frame"
        )
    fitting = takewhile(lambda start: start <= last, (first_step(n, fps) for n in count()))
    windows = [steps[start : start + WINDOW_STEPS] for start in (*fitting, last)]
    return np.stack([window.T[np.newaxis] for window in windows])
