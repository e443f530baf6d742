"""Silero VAD on ONNX Runtime: how likely each 32 ms of audio is speech.

Inputs and their sizes: snakers4/silero-vad, `utils_vad.py` (version 5 and later).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halfsecond.errors import AudioError, UnsupportedModelError
from halfsecond.sessions import open_session

RATE_HZ = 16_000
WINDOW_SAMPLES = 512
CONTEXT_SAMPLES = 64
"""Samples of the window before, which the model wants in front of each window."""


class SileroVad:
    """A stream's speech probabilities; the state is carried from call to call.

    One object per stream. Any block size will do: samples that do not fill a window wait for the
    next block.

    Raises:
        ModelMissingError, ModelCorruptError: see `open_session`.
        UnsupportedModelError: the file is another model, or a Silero of another layout.
    """

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        self._session = open_session(path, threads=threads)
        inputs = {item.name for item in self._session.inputs}
        if inputs != {"input", "state", "sr"}:
            raise UnsupportedModelError(
                f"{path} takes {sorted(inputs)}, and Silero VAD 5 or later takes input, state "
                "and sr; run `halfsecond models fetch`"
            )
        self._rate = np.array(RATE_HZ, dtype=np.int64)
        self.reset()

    def reset(self) -> None:
        """Forgets all it heard, as between two visitors."""
        self._state: NDArray[np.float32] = np.zeros((2, 1, 128), dtype=np.float32)
        self._context: NDArray[np.float32] = np.zeros(CONTEXT_SAMPLES, dtype=np.float32)
        self._rest: NDArray[np.float32] = np.zeros(0, dtype=np.float32)

    def push(self, samples: NDArray[np.float32]) -> list[float]:
        """The probability of speech, 0 to 1, of each window that is full with these samples.

        samples: (n,) mono 16 kHz in [-1, 1].

        Raises:
            AudioError: more than one channel.
        """
        if samples.ndim != 1:
            raise AudioError(f"the audio has the shape {samples.shape}; one channel is expected")
        waiting = np.concatenate([self._rest, samples])
        whole = len(waiting) - len(waiting) % WINDOW_SAMPLES
        self._rest = waiting[whole:]
        return [self._hear(window) for window in waiting[:whole].reshape(-1, WINDOW_SAMPLES)]

    def _hear(self, window: NDArray[np.float32]) -> float:
        heard = np.concatenate([self._context, window])[None].astype(np.float32, copy=False)
        probability, self._state = self._session.run(
            {"input": heard, "state": self._state, "sr": self._rate}
        ).values()
        self._context = window[-CONTEXT_SAMPLES:]
        return float(probability[0, 0])
