"""What a reference recording is like: where there is speech, how noisy, how wide, is there music.

Every function takes (n,) mono 16 kHz in [-1, 1] and measures; `reference.py` decides.
"""

from __future__ import annotations

import numpy as np
import scipy.ndimage
import scipy.signal
from numpy.typing import NDArray

from halfsecond import audio
from halfsecond.models.vad.silero import WINDOW_SAMPLES, SileroVad

Mask = NDArray[np.bool_]
"""One value per window of 512 samples, the rest of the samples left out."""

_SPEECH = 0.5
_CLOSED_GAP_S = 0.2
"""Pauses shorter than this stay, as they are part of how somebody speaks."""
_EDGE_WINDOWS = 1
"""Kept before and after speech: soft consonants."""
_WINDOW_S = WINDOW_SAMPLES / audio.RATE_HZ
_LEAST_WINDOWS = 8
"""Between words, to say anything of what is heard there: a quarter of a second."""


def speech_mask(samples: NDArray[np.float32], vad: SileroVad) -> Mask:
    """The windows in which somebody speaks, short pauses and a little on both sides included."""
    vad.reset()
    spoken = np.array(vad.push(samples)) >= _SPEECH
    gap = round(_CLOSED_GAP_S / _WINDOW_S)
    closed = scipy.ndimage.binary_closing(np.pad(spoken, gap), iterations=gap // 2)
    wide = scipy.ndimage.binary_dilation(closed, iterations=_EDGE_WINDOWS)
    return np.asarray(wide[gap : gap + len(spoken)], np.bool_)


def spoken_samples(samples: NDArray[np.float32], mask: Mask) -> NDArray[np.float32]:
    """The samples of the windows in the mask, one after another."""
    windows = samples[: len(mask) * WINDOW_SAMPLES].reshape(-1, WINDOW_SAMPLES)
    return windows[mask].reshape(-1)


def signal_to_noise_db(samples: NDArray[np.float32], mask: Mask) -> float:
    """How far speech stands above what is heard between words, at most 100 dB.

    Where nobody pauses, the quietest twentieth of the windows counts as what is between words.
    """
    windows = samples[: len(mask) * WINDOW_SAMPLES].reshape(-1, WINDOW_SAMPLES)
    power = np.mean(windows.astype(np.float64) ** 2, axis=1) + 1e-12
    between = power[_between(mask)]
    noise = np.median(between) if len(between) >= _LEAST_WINDOWS else np.percentile(power, 5)
    speech = np.mean(power[mask]) if mask.any() else np.mean(power)
    return float(np.clip(10.0 * np.log10(max(speech - noise, 1e-12) / noise), -100.0, 100.0))


def high_band_db(samples: NDArray[np.float32]) -> float:
    """The loudest sounds of 4.4 to 7 kHz against the loudest below 3.4 kHz, in dB.

    Between -10 and -45 for speech that was recorded with a band of 7 kHz or more.
    """
    frequencies, _, spectrum = scipy.signal.stft(samples, audio.RATE_HZ, nperseg=512)
    power = np.abs(spectrum) ** 2 + 1e-20
    high = power[(frequencies >= 4_400) & (frequencies <= 7_000)].sum(axis=0)
    low = power[(frequencies >= 300) & (frequencies <= 3_400)].sum(axis=0)
    return float(10.0 * np.log10(np.percentile(high, 95) / np.percentile(low, 95)))


def tonal_share(samples: NDArray[np.float32], mask: Mask) -> float:
    """The power between the words that lies in single frequencies, 0 to 1; 0 without pauses.

    Noise has about 0.01: its peaks stand 10 dB above their neighbours once in thousands. The notes
    of music, and a loud hum, have nearly all of it. Echoes of speech come between.
    """
    size, hop = 4 * WINDOW_SAMPLES, WINDOW_SAMPLES
    if len(samples) < size:
        return 0.0
    windows = np.lib.stride_tricks.sliding_window_view(samples, size)[::hop]
    spectrum = np.fft.rfft(windows * np.hanning(size), axis=1).T
    frequencies = np.fft.rfftfreq(size, 1.0 / audio.RATE_HZ)
    power = np.abs(spectrum[(frequencies > 150) & (frequencies < 4_000)]) ** 2 + 1e-8
    around = scipy.ndimage.median_filter(power, size=(31, 1))
    share = np.where(power > 10.0 * around, power, 0.0).sum(axis=0) / power.sum(axis=0)
    is_between = np.lib.stride_tricks.sliding_window_view(_between(mask), size // hop)
    framed = np.flatnonzero(np.all(is_between, axis=1))
    found = share[framed[framed < len(share)]]
    return float(np.median(found)) if len(found) >= _LEAST_WINDOWS else 0.0


def _between(mask: Mask) -> Mask:
    """The windows with no word in them or beside them."""
    return ~np.asarray(scipy.ndimage.binary_dilation(mask, iterations=2), np.bool_)
