"""Where speech begins and ends in what a network made, and how long to pause after it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.tts.voice import SPEECH_RATE_HZ, Phone

AUDIBLE = 10.0 ** (-45.0 / 20.0)
"""The sample that counts as first heard in "voice → first audio" (-45 dBFS)."""

LEAD_S = 0.005
"""Kept before the first audible sample: enough to fade in without a click, and no longer, since
every millisecond here is one that the visitor waits."""
TAIL_S = 0.03
"""Kept behind the last audible sample, to fade out."""

_PAUSES_S = {
    ",": 0.12, "，": 0.12, "、": 0.08, "—": 0.15, "–": 0.15, "-": 0.10,
    ";": 0.20, "；": 0.20, ":": 0.20, "：": 0.20,
    ".": 0.30, "。": 0.30, "!": 0.30, "！": 0.30, "?": 0.30, "？": 0.30, "…": 0.35,
}  # fmt: skip
_NO_PUNCTUATION_S = 0.02
_LINE_S = 0.30
_CLOSERS = "\"'”’)]}】」』》）*_`~"


def pause_after_s(text: str) -> float:
    """How long a speaker pauses after `text`, by the punctuation it ends with, in seconds."""
    if text.endswith("\n"):
        return _LINE_S
    return _PAUSES_S.get(text.rstrip().rstrip(_CLOSERS)[-1:], _NO_PUNCTUATION_S)


def trimmed(
    samples: NDArray[np.float32], phones: Sequence[Phone], *, pause_s: float
) -> tuple[NDArray[np.float32], tuple[Phone, ...]]:
    """The speech without the silence around it, a pause after it, and the phones moved along.

    Gives no samples if nothing in them is above -45 dBFS.
    """
    heard = np.flatnonzero(np.abs(samples) > AUDIBLE)
    if not heard.size:
        return np.zeros(0, np.float32), ()
    lead, tail = round(LEAD_S * SPEECH_RATE_HZ), round(TAIL_S * SPEECH_RATE_HZ)
    first = max(int(heard[0]) - lead, 0)
    last = min(int(heard[-1]) + 1 + tail, len(samples))
    speech = samples[first:last].copy()
    fade_in(speech[: int(heard[0]) - first])
    fade_in(speech[::-1][: last - int(heard[-1]) - 1])
    speech = np.concatenate([speech, np.zeros(round(pause_s * SPEECH_RATE_HZ), np.float32)])
    offset_s, length_s = first / SPEECH_RATE_HZ, (last - first) / SPEECH_RATE_HZ
    moved = [
        Phone(p.symbol, max(p.start_s - offset_s, 0.0), min(p.end_s - offset_s, length_s))
        for p in phones
    ]
    return speech, tuple(p for p in moved if p.end_s > p.start_s)


def fade_in(samples: NDArray[np.float32]) -> None:
    """Raises the samples from silence, in place."""
    samples *= np.linspace(0.0, 1.0, len(samples), dtype=np.float32)
