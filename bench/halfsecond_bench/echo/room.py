"""A room between loudspeaker and microphone, as it is simulated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

RATE_HZ = 16_000
ROOM_DBFS = -66.0
"""Noise of a quiet room, as in the recorded clips."""
DIRECT_S = 0.004
"""1.4 m from the loudspeaker to the microphone."""
FIRST_REFLECTION_S = 0.003


@dataclass(frozen=True)
class Room:
    """A direct path, a decaying tail of reflections, and a loudspeaker that is driven hard."""

    name: str
    reverberation_s: float
    """Time in which the tail falls by 60 dB."""
    direct_db: float
    """Of the direct path above the tail, by energy."""
    drive: float
    """Of the loudspeaker: a tone at -9 dBFS is distorted by 5 % at 2, and by 15 % at 5."""
    seed: int

    def echo(self, played: NDArray[np.float32]) -> NDArray[np.float64]:
        """(n,) what the microphone hears of (n,) what is played, at any level."""
        response = self._impulse_response()
        heard: NDArray[np.float64] = fftconvolve(self._loudspeaker(played), response)
        return heard[: len(played)]

    def _loudspeaker(self, played: NDArray[np.float32]) -> NDArray[np.float64]:
        """Soft clipping with an offset, which gives even and odd harmonics."""
        driven: NDArray[np.float64] = np.tanh(self.drive * played.astype(np.float64) + 0.1)
        distorted: NDArray[np.float64] = (driven - np.tanh(0.1)) / self.drive
        return distorted

    def _impulse_response(self) -> NDArray[np.float64]:
        random = np.random.default_rng(self.seed)
        n = int(1.2 * self.reverberation_s * RATE_HZ)
        tail = random.normal(size=n) * 10 ** (-3 * np.arange(n) / RATE_HZ / self.reverberation_s)
        tail[: int(FIRST_REFLECTION_S * RATE_HZ)] = 0.0
        tail *= 10 ** (-self.direct_db / 20) / np.sqrt(np.sum(np.square(tail)))
        tail[0] = 1.0
        return np.concatenate([np.zeros(int(DIRECT_S * RATE_HZ)), tail])


ROOMS = (
    Room("booth", reverberation_s=0.2, direct_db=6.0, drive=2.0, seed=1),
    Room("office", reverberation_s=0.35, direct_db=3.0, drive=5.0, seed=2),
    Room("lobby", reverberation_s=0.6, direct_db=3.0, drive=2.0, seed=3),
)


def room_tone(n_samples: int, *, seed: int) -> NDArray[np.float32]:
    """(n,) the noise of a quiet room."""
    random = np.random.default_rng(seed)
    return random.normal(0, 10 ** (ROOM_DBFS / 20), n_samples).astype(np.float32)


def speech_level(samples: NDArray[np.float32] | NDArray[np.float64]) -> float:
    """Effective value of the stretches in which there is speech: within 30 dB of the loudest."""
    frames = samples[: len(samples) // 320 * 320].reshape(-1, 320)
    power = np.mean(np.square(frames), axis=1)
    return float(np.sqrt(np.mean(power[power > power.max() / 1000])))


def at_level(
    samples: NDArray[np.float32] | NDArray[np.float64], dbfs: float
) -> NDArray[np.float32]:
    """The same with its speech at that level."""
    scaled: NDArray[np.float32] = (samples * (10 ** (dbfs / 20) / speech_level(samples))).astype(
        np.float32
    )
    return scaled
