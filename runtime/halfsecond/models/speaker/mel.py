"""What Resemblyzer's encoder hears: power in 40 mel bands, not its logarithm.

Figures: resemble-ai/Resemblyzer, `hparams.py` and `audio.py` (16 kHz, 25 ms periodic Hann windows
every 10 ms, Slaney's bands from 0 to 8 kHz, the clip padded with zeros at both ends).
"""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from halfsecond.models.asr.mel import HOP_SAMPLES, WINDOW_SAMPLES, hann, mel_filters

BANDS = 40
FRAMES_PER_S = 100


def mel_power(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """(1 + n // 160, 40) of (n,) mono 16 kHz in [-1, 1]; frame k is centred on sample 160 k."""
    half = WINDOW_SAMPLES // 2
    padded = np.pad(samples, (half, half + HOP_SAMPLES))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES)[::HOP_SAMPLES]
    frames = frames[: 1 + len(samples) // HOP_SAMPLES]
    spectrum: NDArray[np.complex64] = np.asarray(scipy.fft.rfft(frames * hann(), axis=1))
    power = spectrum.real**2 + spectrum.imag**2
    bands: NDArray[np.float32] = (power @ mel_filters(BANDS).T).astype(np.float32)
    return bands
