"""Writes wav2lip_mel_reference.npz: mel spectrograms of Wav2Lip's recipe as librosa makes them.

    pip install librosa==0.11.0
    python tests/runtime/wav2lip_mel_reference.py

The steps are those of `audio.melspectrogram` with the published hyperparameters. `pad_mode` was
"reflect" by default in librosa 0.7, which Wav2Lip pins; later versions need it said.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

REFERENCE = Path(__file__).with_suffix(".npz")
LENGTHS = (9_600, 4_123, 380)
"""Samples: an even number of hops, an odd number, and less than half a window."""


def reference_signal(samples: int) -> NDArray[np.float32]:
    """A gliding tone with harmonics, hiss, and 50 ms of digital silence; always the same."""
    time_s = np.arange(samples) / 16_000
    phase = 2 * np.pi * (120 * time_s + 400 * time_s**2)
    tone = sum(np.sin(k * phase) / k for k in range(1, 12))
    # A congruential generator: numpy's own may change between versions.
    state, noise = 1, np.zeros(samples)
    for i in range(samples):
        state = (1_664_525 * state + 1_013_904_223) % 2**32
        noise[i] = state / 2**31 - 1
    signal = 0.2 * tone * np.sin(np.pi * 3 * time_s) ** 2 + 0.003 * noise
    signal[2_400:3_200] = 0.0
    return np.asarray(signal, np.float32)


def main() -> None:
    """Writes the file beside this one."""
    librosa = importlib.import_module("librosa")
    signal = importlib.import_module("scipy.signal")
    basis = librosa.filters.mel(sr=16_000, n_fft=800, n_mels=80, fmin=55, fmax=7_600)
    spectrograms = {}
    for length in LENGTHS:
        emphasised = signal.lfilter([1, -0.97], [1], reference_signal(length))
        spectrum = librosa.stft(
            emphasised, n_fft=800, hop_length=200, win_length=800, pad_mode="reflect"
        )
        decibels = 20 * np.log10(np.maximum(1e-5, basis @ np.abs(spectrum))) - 20
        spectrograms[str(length)] = np.clip(8 * (decibels + 100) / 100 - 4, -4, 4)
    singles: dict[str, Any] = {k: np.float32(v) for k, v in spectrograms.items()}
    np.savez_compressed(REFERENCE, **singles)


if __name__ == "__main__":
    main()
