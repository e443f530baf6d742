"""Phoneme times from the durations that a voice's network predicts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.tts.levels import window_levels_db
from halfsecond.models.tts.voice import SPEECH_RATE_HZ, Phone

PAD = "$"
"""What stands for the pad before and after the symbols of an utterance."""

_STRESS = frozenset("ˈˌ")
_LENGTHENS = frozenset("ːʰʲᵝ\u0303→↗↘↓")
_SILENT = frozenset(' ;:,.!?—…"()“”$')

_HUSH_DB = -45.0
"""A phoneme that stands before a pause ends where it falls below this level (dBFS)."""
_HUSH_WINDOW_S = 0.01
_SHORTEST_S = 0.03


@lru_cache(maxsize=1)
def alphabet() -> dict[str, int]:
    """Kokoro's symbols and their ids (hibari was trained on the same), from hibari's package."""
    from importlib.resources import files

    text = (files("hibari") / "assets" / "vocab.json").read_text(encoding="utf-8")
    table: dict[str, int] = json.loads(text)
    return table


def is_spoken(symbol: str) -> bool:
    """True for a symbol that is heard by itself: no stress, length or tone mark, no punctuation."""
    return symbol not in _STRESS and symbol not in _LENGTHENS and symbol not in _SILENT


def phones_from_durations(
    symbols: Sequence[str], durations_s: NDArray[np.floating], *, shift_s: float = 0.0
) -> tuple[Phone, ...]:
    """The spoken symbols with their times, `shift_s` later than the durations say.

    A stress mark belongs to the vowel after it, a length or tone mark to the symbol before. A
    space between words is no pause: its time is shared by its neighbours. Punctuation is.

    Args:
        symbols: as many as there are durations, pads included (`PAD`).
        durations_s: (n,) seconds each.
    """
    ends = np.cumsum(durations_s, dtype=np.float64) + shift_s
    starts = ends - durations_s
    phones: list[Phone] = []
    opening: float | None = None
    for symbol, start, end in zip(symbols, starts.tolist(), ends.tolist(), strict=True):
        follows = bool(phones) and abs(phones[-1].end_s - start) < 1e-6
        if symbol in _STRESS:
            opening = start if opening is None else opening
        elif is_spoken(symbol):
            phones.append(Phone(symbol, start if opening is None else opening, end))
            opening = None
        elif symbol in _LENGTHENS and follows:
            phones[-1] = Phone(phones[-1].symbol, phones[-1].start_s, end)
        elif symbol == " " and follows:
            middle = opening = (start + end) / 2
            phones[-1] = Phone(phones[-1].symbol, phones[-1].start_s, middle)
        else:
            opening = None
    return tuple(phones)


def settle(phones: Sequence[Phone], samples: NDArray[np.float32]) -> tuple[Phone, ...]:
    """The phones within the samples, those before a pause cut where they are heard no more.

    A network gives the silence of a pause to the phoneme before it; a mouth would stay open.
    """
    levels = window_levels_db(samples, _HUSH_WINDOW_S)
    length_s = len(samples) / SPEECH_RATE_HZ
    settled: list[Phone] = []
    for index, phone in enumerate(phones):
        start, end = max(phone.start_s, 0.0), min(phone.end_s, length_s)
        is_before_pause = index + 1 == len(phones) or phones[index + 1].start_s > phone.end_s + 1e-6
        if is_before_pause:
            first = int(start / _HUSH_WINDOW_S)
            heard = np.flatnonzero(levels[first : int(end / _HUSH_WINDOW_S)] > _HUSH_DB)
            last = first + int(heard[-1]) + 1 if heard.size else first
            end = min(end, max(last * _HUSH_WINDOW_S, start + _SHORTEST_S))
        if end > start:
            settled.append(Phone(phone.symbol, start, end))
    return tuple(settled)
