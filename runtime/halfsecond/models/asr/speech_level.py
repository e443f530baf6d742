"""How much of an utterance is speech, by its level alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.vad.loudness import FRAME_SAMPLES, RATE_HZ, frame_levels_db

RANGE_DB = 25.0
"""Between the loudest sounds of speech and the softest that count. A noise that is nearer to them
counts as speech."""
LOUDEST_PERCENT = 95


def speech_after_s(samples: NDArray[np.float32], first_sample: int) -> float:
    """Seconds of speech from `first_sample` on, in frames of 10 ms.

    samples: (n,) mono 16 kHz of an utterance, which says how loud its speech is.
    """
    level_db = frame_levels_db(samples)
    if not len(level_db):
        return 0.0
    least_db = np.percentile(level_db, LOUDEST_PERCENT) - RANGE_DB
    after = level_db[first_sample // FRAME_SAMPLES :]
    return float(np.count_nonzero(after > least_db)) * FRAME_SAMPLES / RATE_HZ
