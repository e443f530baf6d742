"""Recordings as people send them: of real speech, and with every fault a reference can have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halfsecond import audio

Samples = NDArray[np.float32]
RATE_HZ = audio.RATE_HZ


def reader(clips: Path, *, n: int = 2) -> Samples:
    """One person who reads for some 11 s, with pauses between sentences."""
    files = sorted(clips.glob("librivox-*.flac"))[:n]
    quiet = np.zeros(RATE_HZ // 3, np.float32)
    return np.concatenate([part for file in files for part in (audio.load(file).samples, quiet)])


def president(clips: Path) -> Samples:
    """Another person, 11 s."""
    return audio.load(clips / "jfk.flac").samples


def pink_noise(n: int, *, seed: int = 0) -> Samples:
    """(n,) at a level of -20 dBFS."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(n))
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    return at_level(np.fft.irfft(spectrum, n).astype(np.float32), -20.0)


def music(n: int) -> Samples:
    """(n,): chords of six harmonics that change every second and fade, at -20 dBFS."""
    sound = np.zeros(n)
    seconds = np.arange(RATE_HZ) / RATE_HZ
    roots = (220.0, 174.6, 261.6, 196.0)
    for bar, start in enumerate(range(0, n, RATE_HZ)):
        notes = [roots[bar % 4] * ratio for ratio in (1.0, 1.25, 1.5)]
        chord = sum(
            np.sin(2 * np.pi * note * harmonic * seconds) / harmonic
            for note in notes
            for harmonic in range(1, 7)
        )
        part = chord * np.exp(-seconds)
        sound[start : start + RATE_HZ] += part[: n - start]
    return at_level(sound.astype(np.float32), -20.0)


def at_level(samples: Samples, level_dbfs: float) -> Samples:
    """The samples with this root mean square."""
    rms = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    return np.asarray(samples * (10 ** (level_dbfs / 20) / rms), np.float32)


def mixed(samples: Samples, sound: Samples, *, ratio_db: float) -> Samples:
    """Speech with a sound this far below it."""
    speech = at_level(samples, -22.0)
    return speech + at_level(sound[: len(samples)], -22.0 - ratio_db)


def telephone(samples: Samples) -> Samples:
    """What is left of it at 8 kHz, at 16 kHz again."""
    narrow = audio.resample(samples, from_hz=RATE_HZ, to_hz=8_000)
    return audio.resample(narrow, from_hz=8_000, to_hz=RATE_HZ)
