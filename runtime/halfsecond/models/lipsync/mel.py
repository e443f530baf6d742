"""Wav2Lip's ears: the mel spectrogram that its published weights were trained on, as audio streams.

The figures are those of `hparams.py` and `audio.py` in Rudrabha/Wav2Lip: 16 kHz, 50 ms Hann
windows every 12.5 ms, magnitudes (not powers) of a pre-emphasised signal in 80 Slaney mel bands,
decibels mapped to -4..4. Another front end makes the network's mouth wrong without any error.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

MEL_RATE_HZ = 16_000
MEL_BANDS = 80
MEL_STEPS_PER_S = 80
WINDOW_STEPS = 16
"""Steps that the network hears for one frame: 200 ms, starting at the frame's time."""
SILENT_MEL = -4.0
"""What digital silence becomes; also the floor of every band."""

_WINDOW_SAMPLES = 800
_HOP_SAMPLES = MEL_RATE_HZ // MEL_STEPS_PER_S
_HALF_SAMPLES = _WINDOW_SAMPLES // 2
_LOWEST_HZ = 55.0
_HIGHEST_HZ = 7_600.0
_PREEMPHASIS = 0.97
_REFERENCE_DB = 20.0
_FLOOR_DB = -100.0
_SPAN = 4.0


class MelStream:
    """Mel steps of audio that arrives in pieces; all pieces together give the whole clip's steps.

    Step k is centred on sample 200 k, so it appears once sample 200 k + 399 is there. Both ends
    of the clip are padded with their mirror image, as librosa 0.7 does, which the weights were
    trained with (newer versions pad with zeros).
    """

    def __init__(self) -> None:
        self._pending: NDArray[np.float64] = np.zeros(0)
        self._last_sample = 0.0
        self._is_padded = False

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """The steps that `samples` complete, as (n, MEL_BANDS); n may be 0.

        samples: (m,) mono at MEL_RATE_HZ, -1 to 1, following those before without a gap.
        """
        signal = np.concatenate(([self._last_sample], samples.astype(np.float64)))
        self._last_sample = float(signal[-1])
        emphasised = signal[1:] - _PREEMPHASIS * signal[:-1]
        self._pending = np.concatenate((self._pending, emphasised))
        if not self._is_padded:
            # The mirror image of samples 1 to 400 stands before sample 0.
            if len(self._pending) <= _HALF_SAMPLES:
                return np.zeros((0, MEL_BANDS), np.float32)
            mirror = self._pending[_HALF_SAMPLES:0:-1]
            self._pending = np.concatenate((mirror, self._pending))
            self._is_padded = True
        return self._take_steps()

    def finish(self) -> NDArray[np.float32]:
        """The steps whose windows reach beyond the end, as (n, MEL_BANDS). The stream is over."""
        if not len(self._pending):
            return np.zeros((0, MEL_BANDS), np.float32)
        if self._is_padded:
            # Mirrored from the clip's own samples: what stands before them may be a mirror itself.
            tail = self._pending[-_HALF_SAMPLES - 1 : -1][::-1]
            self._pending = np.concatenate((self._pending, tail))
        else:
            self._pending = np.pad(self._pending, _HALF_SAMPLES, mode="reflect")
        return self._take_steps()

    def _take_steps(self) -> NDArray[np.float32]:
        count = (len(self._pending) - _WINDOW_SAMPLES) // _HOP_SAMPLES + 1
        if count <= 0:
            return np.zeros((0, MEL_BANDS), np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(self._pending, _WINDOW_SAMPLES)
        steps = _mel_steps(windows[: count * _HOP_SAMPLES : _HOP_SAMPLES])
        self._pending = self._pending[count * _HOP_SAMPLES :]
        return steps


def mel_spectrogram(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mel steps of a whole clip, as (1 + len(samples) // 200, MEL_BANDS), -4 to 4.

    Transposed, it is what `audio.melspectrogram` of Wav2Lip returns.
    """
    stream = MelStream()
    return np.concatenate((stream.push(samples), stream.finish()))


def first_step(frame: int, fps: int) -> int:
    """The first of the WINDOW_STEPS steps that drive video frame `frame` (Wav2Lip's inference).

    Cut down to a whole step of 12.5 ms, at any rate: the window begins 0 to 10 ms before the frame
    at 25 a second and 0 to 8.3 ms before it at 30, and never strays further.
    """
    return frame * MEL_STEPS_PER_S // fps


def _mel_steps(windows: NDArray[np.float64]) -> NDArray[np.float32]:
    magnitudes = np.abs(np.fft.rfft(windows * _hann(), axis=1))
    bands = magnitudes @ _mel_filters().T
    floor = 10.0 ** (_FLOOR_DB / 20.0)
    decibels = 20.0 * np.log10(np.maximum(floor, bands)) - _REFERENCE_DB
    scaled = 2.0 * _SPAN * (decibels - _FLOOR_DB) / -_FLOOR_DB - _SPAN
    return np.asarray(np.clip(scaled, -_SPAN, _SPAN), np.float32)


@cache
def _hann() -> NDArray[np.float64]:
    """The periodic Hann window of scipy and librosa (not numpy's symmetric one)."""
    return 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(_WINDOW_SAMPLES) / _WINDOW_SAMPLES)


@cache
def _mel_filters() -> NDArray[np.float64]:
    """Triangles of equal area on Slaney's mel scale, (MEL_BANDS, bins of the spectrum).

    Source: M. Slaney, Auditory Toolbox (1998), which librosa follows by default.
    """
    bins_hz = np.fft.rfftfreq(_WINDOW_SAMPLES, 1.0 / MEL_RATE_HZ)
    lowest, highest = _hz_to_mel(_LOWEST_HZ), _hz_to_mel(_HIGHEST_HZ)
    edges_hz = _mel_to_hz(np.linspace(lowest, highest, MEL_BANDS + 2))
    left, centre, right = edges_hz[:-2, None], edges_hz[1:-1, None], edges_hz[2:, None]
    rising = (bins_hz - left) / (centre - left)
    falling = (right - bins_hz) / (right - centre)
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return np.asarray(triangles * (2.0 / (right - left)), np.float64)


# Slaney's scale: linear (200 Hz are 3 mel) up to 1 kHz, then 27 mel for each factor of 6.4.
_LINEAR_HZ_PER_MEL = 200.0 / 3.0
_KNEE_HZ = 1_000.0
_KNEE_MEL = _KNEE_HZ / _LINEAR_HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27.0


def _hz_to_mel(frequency_hz: float) -> float:
    if frequency_hz < _KNEE_HZ:
        return frequency_hz / _LINEAR_HZ_PER_MEL
    return float(_KNEE_MEL + np.log(frequency_hz / _KNEE_HZ) / _LOG_STEP)


def _mel_to_hz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    logarithmic = _KNEE_HZ * np.exp(_LOG_STEP * (mels - _KNEE_MEL))
    return np.where(mels < _KNEE_MEL, mels * _LINEAR_HZ_PER_MEL, logarithmic)
