"""How far the sound is from the lips, by what is seen and heard when it is seen and heard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

from halfsecond.models.face.aperture import ApertureMeter
from halfsecond.recording import Reply, Shown, decode_picture

GRID_HZ = 200
SEARCH_S = 0.4
SMOOTHING_S = 0.05
BAND_HZ = (500.0, 1500.0)
"""First and second formants of open vowels: what a jaw that drops lets out. Over ten sentences the
whole spectrum gives the same median, but only four to nine of them a clear peak."""
COMPRESSION = 0.3
"""Exponent of the amplitude: soft vowels count too. 0.6: the same median, fewer clear peaks."""
LEAST_S = 1.0
"""Shorter answers have too few syllables to be aligned."""
LEAST_CORRELATION = 0.4
"""Below this the mouth and the sound have no common shape to measure an offset from."""


@dataclass(frozen=True)
class Offset:
    """Positive: the sound is ahead of the lips."""

    offset_s: float
    correlation: float


def content_offset(reply: Reply, meter: ApertureMeter, *, rate_hz: int = 24_000) -> Offset | None:
    """The shift at which the mouth's aperture follows the loudness best; None if it cannot be told.

    Aperture comes from face landmarks on the pictures, each from when a player showed it (at its
    time, or when it came if that was later) until the next one: to the eye a picture stands for the
    whole time in which it is seen. Loudness comes from the samples as they were played.
    Both are compared on a 5 ms grid over shifts of ±0.4 s; the peak of the correlation is refined
    with a parabola.
    """
    driven = [shown for shown in reply.pictures if shown.is_driven]
    samples = reply.samples()
    duration_s = len(samples) / rate_hz
    if duration_s < LEAST_S or len(driven) < 10:
        return None
    times = _shown_s(driven, reply.playback_start_s or 0.0)
    aperture = meter.measure_all(decode_picture(shown) for shown in driven)
    seen = np.isfinite(aperture)
    if seen.sum() < 10:
        return None
    return offset_of(times[seen], aperture[seen], samples, rate_hz)


def offset_of(
    times_s: NDArray[np.float64],
    aperture: NDArray[np.floating],
    samples: NDArray[np.float32],
    rate_hz: int,
) -> Offset | None:
    """The same from apertures, and when each is seen first; None if it cannot be told."""
    grid = np.arange(0, len(samples) / rate_hz, 1 / GRID_HZ)
    last = np.searchsorted(times_s, grid, side="right") - 1
    mouth = aperture[np.maximum(last, 0)].astype(np.float64)
    return _align(mouth, loudness(samples, rate_hz, grid))


def _shown_s(driven: Sequence[Shown], start_s: float) -> NDArray[np.float64]:
    """(n,) when each picture appeared, in seconds of playback; never before the one before it."""
    times = np.array([max(shown.pts_s, shown.at_s - start_s) for shown in driven])
    return np.asarray(np.maximum.accumulate(times), np.float64)


def loudness(
    samples: NDArray[np.float32], rate_hz: int, grid: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(len(grid),) compressed amplitude of open vowels around each time, smoothed over 50 ms."""
    band = butter(3, BAND_HZ, btype="band", fs=rate_hz, output="sos")
    power = np.convolve(
        np.square(sosfiltfilt(band, samples.astype(np.float64))),
        np.hanning(int(SMOOTHING_S * rate_hz)) / (SMOOTHING_S * rate_hz / 2),
        mode="same",
    )
    at = np.clip((grid * rate_hz).astype(int), 0, len(samples) - 1)
    envelope: NDArray[np.float64] = np.sqrt(np.maximum(power[at], 0.0)) ** COMPRESSION
    return envelope


def _align(mouth: NDArray[np.float64], sound: NDArray[np.float64]) -> Offset | None:
    reach = int(SEARCH_S * GRID_HZ)
    shifts = range(-reach, reach + 1)
    scores = np.array([_correlation(mouth, sound, shift) for shift in shifts])
    best = int(np.argmax(scores))
    if scores[best] < LEAST_CORRELATION or best in (0, len(scores) - 1):
        return None
    left, middle, right = scores[best - 1 : best + 2]
    bend = left - 2 * middle + right
    fraction = 0.5 * (left - right) / bend if bend else 0.0
    return Offset(float(shifts[best] + fraction) / GRID_HZ, float(scores[best]))


def _correlation(mouth: NDArray[np.float64], sound: NDArray[np.float64], shift: int) -> float:
    """Pearson's r of the mouth `shift` steps later with the sound now."""
    a = mouth[max(0, shift) : len(mouth) + min(0, shift)]
    b = sound[max(0, -shift) : len(sound) + min(0, -shift)]
    spread = float(a.std() * b.std())
    return float(((a - a.mean()) * (b - b.mean())).mean()) / spread if spread else 0.0


@lru_cache(maxsize=1)
def open_meter(face_models: Path) -> ApertureMeter:
    """The instrument, on the fetched face models."""
    return ApertureMeter(
        face_models / "face_detector.onnx", face_models / "face_landmarks.onnx", threads=2
    )


def signed_median_ms(offsets: Sequence[Offset]) -> float | None:
    """The median offset with its sign, in milliseconds."""
    return round(1000 * float(np.median([o.offset_s for o in offsets])), 1) if offsets else None
