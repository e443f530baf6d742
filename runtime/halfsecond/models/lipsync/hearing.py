"""The mouth over time from the sound alone: loudness and formants, a hundred times a second."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.lipsync.driver import LIPSYNC_RATE_HZ

Array = NDArray[np.float32]

HOP_SAMPLES = 160
WINDOW_SAMPLES = 400
FFT_SAMPLES = 512
FLOOR_DB, FULL_DB = -48.0, -33.0
"""Relative to full scale. Below the first the mouth is shut, above the second it is let go."""
RANGE_DB = 26.0
"""Loudness is counted down from the loudest of the last seconds over this range."""
PEAK_FALL_DB_S = 3.0
"""The loudest is forgotten at this pace, so that a quieter speaker still opens the mouth."""
PEAK_MIN_DB = -34.0
ATTACK_S, RELEASE_S = 0.035, 0.080
SHUT_S = 0.030
"""Jaws open faster than they close, except where lips shut in the middle of speech."""
SHIFT_S = 0.045
"""The filter lags: the track is read ahead, by what leaves the lips 20 ms before the sound."""


@dataclass(frozen=True)
class _Instant:
    db: float
    first: float
    """First-formant centroid, 0 (300 Hz) to 1 (850 Hz): how open the vowel is."""
    second: float
    """Second-formant centroid, 0 (1000 Hz) to 1 (2200 Hz): how spread it is."""
    hiss: float
    """Part of the energy above 3.5 kHz."""
    hum: float
    """Part of the energy below 500 Hz, without formants above: lips or nose closed."""


class Hearing:
    """Mouth poses of a growing stream of sound. The same sound in other pieces gives the same."""

    def __init__(self) -> None:
        self._samples = np.zeros(WINDOW_SAMPLES // 2, np.float32)
        self._window = np.hanning(WINDOW_SAMPLES).astype(np.float32)
        self._hz = np.fft.rfftfreq(FFT_SAMPLES, 1 / LIPSYNC_RATE_HZ)
        self._peak_db = PEAK_MIN_DB
        self._pose = np.zeros(6, np.float32)
        self._poses: list[Array] = []
        self._levels: list[float] = []

    def add(self, samples: Array) -> None:
        """(n,) mono at LIPSYNC_RATE_HZ, following what was added before."""
        self._samples = np.concatenate([self._samples, samples.astype(np.float32)])

    def finish(self) -> None:
        """The stream is over: hears its last instants, which windows reach beyond."""
        self.add(np.zeros(WINDOW_SAMPLES + HOP_SAMPLES, np.float32))

    def pose(self, t_s: float) -> Array:
        """(6,) values of a mouth pose at `t_s` seconds of the stream."""
        self._listen(t_s + SHIFT_S)
        place = max((t_s + SHIFT_S) * 100, 0.0)
        index = int(place)
        if index >= len(self._poses):
            return np.zeros(6, np.float32)
        after = self._poses[min(index + 1, len(self._poses) - 1)]
        share = np.float32(place - index)
        return np.asarray(self._poses[index] * (1 - share) + after * share, np.float32)

    def gate(self, t_s: float) -> float:
        """0 in silence, 1 in speech, around `t_s`: from 60 ms before to 100 ms after."""
        self._listen(t_s + 0.10)
        low = max(0, int((t_s - 0.06) * 100))
        near = self._levels[low : int((t_s + 0.10) * 100) + 1]
        level = (max(near, default=-120.0) - FLOOR_DB) / (FULL_DB - FLOOR_DB)
        return min(max(level, 0.0), 1.0)

    def _listen(self, until_s: float) -> None:
        """Hears up to `until_s`, as far as there is sound: a frame does not wait for the rest."""
        at, wanted = 0, int(until_s * 100) + 2
        while len(self._poses) < wanted and at + WINDOW_SAMPLES <= len(self._samples):
            self._hear(self._instant(self._samples[at : at + WINDOW_SAMPLES]))
            at += HOP_SAMPLES
        self._samples = self._samples[at:]

    def _instant(self, window: Array) -> _Instant:
        spectrum = np.abs(np.fft.rfft(window * self._window, FFT_SAMPLES)) ** 2 + 1e-9
        hz, total = self._hz, float(spectrum.sum())
        level = float(np.sqrt(np.mean(window.astype(np.float64) ** 2)))

        def centroid(low: float, high: float) -> float:
            band = (hz >= low) & (hz < high)
            power = np.sqrt(spectrum[band])
            return float((hz[band] * power).sum() / power.sum())

        below = float(spectrum[hz < 500].sum()) / total
        return _Instant(
            db=20 * np.log10(level + 1e-6),
            first=(centroid(250, 1100) - 380) / (760 - 380),
            second=(centroid(1000, 2800) - 1450) / (2050 - 1450),
            hiss=float(spectrum[hz > 3500].sum()) / total,
            hum=max(0.0, (below - 0.93) / 0.07),
        )

    def _hear(self, now: _Instant) -> None:
        self._peak_db = max(now.db, self._peak_db - PEAK_FALL_DB_S * 0.01, PEAK_MIN_DB)
        loud = _unit((now.db - self._peak_db) / RANGE_DB + 1.0)
        voiced = _unit((now.db - FLOOR_DB) / (FULL_DB - FLOOR_DB))
        opening = 0.30 + 0.70 * _unit(now.first)
        hiss = _unit((now.hiss - 0.15) / 0.5)
        shut = _unit(1.6 * now.hum)
        drive = loud**1.2 * opening * (1 - 0.75 * hiss) * voiced * (1 - 0.9 * shut)
        # Without this every loud vowel would reach the end of the range.
        jaw = 1.05 * (1.0 - np.exp(-1.5 * drive))
        spread = min(max(1.1 * (now.second - 0.5), -1.0), 1.0)
        width = 0.7 * spread * voiced * (1 - 0.7 * hiss)
        rounding = _unit(-1.2 * spread) * voiced * (1 - hiss)
        lips = 0.3 * jaw + 0.25 * hiss * voiced
        wanted = np.array([jaw, width, lips, lips, 0.0, rounding], np.float32)
        rising = np.abs(wanted) > np.abs(self._pose)
        release_s = RELEASE_S + (SHUT_S - RELEASE_S) * max(shut, 1.0 - voiced)
        step = np.where(rising, 1 - np.exp(-0.01 / ATTACK_S), 1 - np.exp(-0.01 / release_s))
        self._pose = (self._pose + (wanted - self._pose) * step).astype(np.float32)
        self._poses.append(self._pose)
        self._levels.append(now.db)


def _unit(x: float) -> float:
    return min(max(x, 0.0), 1.0)
