"""Smart Turn on ONNX Runtime: how likely the visitor has finished what they wanted to say.

Input layout: pipecat-ai/smart-turn v3 (BSD-2-Clause). The newest 8 s end at the newest sample, so
shorter audio has zeros in front of it; zeros behind make any audio look finished.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halfsecond.errors import AudioError, UnsupportedModelError
from halfsecond.models.asr.mel import FRAMES_PER_S, RATE_HZ, log_mel
from halfsecond.sessions import open_session

CONTEXT_S = 8
_INPUT = "input_features"


class SmartTurn:
    """A judge of whole turns. A hint to combine with silence, not a verdict.

    Raises:
        ModelMissingError, ModelCorruptError: see `open_session`.
        UnsupportedModelError: the file is another model.
    """

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        self._session = open_session(path, threads=threads)
        shapes = {item.name: list(item.shape)[1:] for item in self._session.inputs}
        expected = [80, CONTEXT_S * FRAMES_PER_S]
        if shapes.get(_INPUT) != expected:
            raise UnsupportedModelError(
                f"{path} takes {shapes}, and Smart Turn v3 takes {_INPUT} of {expected}; "
                "run `halfsecond models fetch`"
            )

    def probability(self, samples: NDArray[np.float32]) -> float:
        """How likely the turn is complete, 0 to 1.

        samples: (n,) mono 16 kHz, from the turn's beginning to now, the trailing silence included;
        of more than 8 s the newest count.

        Raises:
            AudioError: no samples, or more than one channel.
        """
        if samples.ndim != 1 or not samples.size:
            raise AudioError(
                f"the audio has the shape {samples.shape}; one channel with samples is expected"
            )
        features = log_mel(_normalized(_newest(samples)))[None]
        (probability,) = self._session.run({_INPUT: features}).values()
        return float(probability.reshape(-1)[0])


def _newest(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """The last 8 s, with zeros in front of shorter audio."""
    whole = np.zeros(CONTEXT_S * RATE_HZ, dtype=np.float32)
    kept = samples[-len(whole) :]
    whole[len(whole) - len(kept) :] = kept
    return whole


def _normalized(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Zero mean and unit variance, over the zeros in front too, as the model was trained."""
    scale = np.sqrt(samples.var() + 1e-7)
    normalized: NDArray[np.float32] = ((samples - samples.mean()) / scale).astype(np.float32)
    return normalized
