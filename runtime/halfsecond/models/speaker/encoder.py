"""Resemblyzer's speaker encoder on ONNX Runtime: a voice as a point on a sphere.

Wan et al. 2018, "Generalized end-to-end loss for speaker verification", as trained and published
by Resemble AI: an LSTM hears 1.6 s at a time, and the mean over such windows is the voice.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halfsecond.errors import AudioError, UnsupportedModelError
from halfsecond.models.asr.mel import HOP_SAMPLES
from halfsecond.models.speaker.mel import BANDS, FRAMES_PER_S, mel_power
from halfsecond.sessions import Session, open_session

NAME = "resemblyzer"
"""What voiceprints call it."""
MODEL_FILE = "speaker_encoder.onnx"
SIZE = 256
WINDOW_FRAMES = 160
WINDOWS_PER_S = 1.3
"""Resemblyzer's own rate of windows."""

_SHORTEST_PART = 0.75
"""A last window with less audio than this is left out, where there is another (Resemblyzer)."""
_QUIETEST_DBFS = -30.0
"""Quieter speech is made this loud first, as Resemblyzer does: mel power is not invariant."""


class SpeakerEncoder:
    """Turns speech into a voice. One thread at a time.

    Raises:
        ModelMissingError, ModelCorruptError: see `open_session`.
        UnsupportedModelError: the file is another network.
    """

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        self._session: Session = open_session(path, threads=threads)
        inputs = {item.name for item in self._session.inputs}
        if inputs != {"mels"}:
            raise UnsupportedModelError(
                f"{path} takes {sorted(inputs)}, and a speaker encoder takes mels; run "
                "`halfsecond models fetch speaker-encoder`"
            )

    def embed(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """The voice, (256,) of unit length, of (n,) mono 16 kHz that holds speech without pauses.

        Raises:
            AudioError: there are no samples.
        """
        return mean_voice(self.embed_windows(samples))

    def embed_windows(
        self, samples: NDArray[np.float32], *, windows_per_s: float = WINDOWS_PER_S
    ) -> NDArray[np.float32]:
        """(n, 256): the voice of each window of 1.6 s, the first one beginning with the samples.

        A clip that is shorter is padded with silence.

        Raises:
            AudioError: there are no samples.
        """
        if not len(samples):
            raise AudioError("there is no speech to hear a voice in; some seconds are needed")
        starts = _window_starts(len(samples), windows_per_s)
        end = (starts[-1] + WINDOW_FRAMES) * HOP_SAMPLES
        padded = np.pad(_loud_enough(samples), (0, max(0, end - len(samples))))
        mels = mel_power(padded)
        windows = np.stack([mels[start : start + WINDOW_FRAMES] for start in starts])
        assert windows.shape[1:] == (WINDOW_FRAMES, BANDS)
        return np.array(self._session.run({"mels": windows})["voices"], np.float32)

    def close(self) -> None:
        """Lets the engine go."""
        self._session.close()


def mean_voice(voices: NDArray[np.float32]) -> NDArray[np.float32]:
    """The (256,) voice of unit length in the middle of (n, 256)."""
    middle = voices.mean(axis=0)
    voice: NDArray[np.float32] = (middle / np.linalg.norm(middle)).astype(np.float32)
    return voice


def similarity(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """The cosine of two voices: 1 for the same, some 0.5 to 0.7 for two people."""
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))


def _window_starts(n_samples: int, windows_per_s: float) -> list[int]:
    """The first frame of every window."""
    frames = -(-(n_samples + 1) // HOP_SAMPLES)
    step = round(FRAMES_PER_S / windows_per_s)
    starts = list(range(0, max(1, frames - WINDOW_FRAMES + step + 1), step))
    heard = (n_samples - starts[-1] * HOP_SAMPLES) / (WINDOW_FRAMES * HOP_SAMPLES)
    return starts[:-1] if heard < _SHORTEST_PART and len(starts) > 1 else starts


def _loud_enough(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    rms = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    wanted = 10.0 ** (_QUIETEST_DBFS / 20.0)
    if rms == 0.0 or rms >= wanted:
        return samples
    louder: NDArray[np.float32] = (samples * np.float32(wanted / rms)).astype(np.float32)
    return louder
