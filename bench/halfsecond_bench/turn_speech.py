"""Makes the sound of the turn-end clips, and labels it.

A pause comes about in one of two ways. *Apart*: the parts are spoken as sentences of their own and
put together, so that what comes before the pause sounds finished. *Within*: the whole sentence is
spoken and opened between two words, by Kokoro's phoneme times, at the quietest place nearby.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from halfsecond.audio import RATE_HZ, resample
from halfsecond.models.tts.english import EnglishPhonemizer
from halfsecond.models.tts.phones import is_spoken
from halfsecond.models.tts.voice import SPEECH_RATE_HZ, Phone, Voice
from halfsecond_bench.label import ABOVE_FLOOR_DB, WINDOW_SAMPLES, window_levels_dbfs
from halfsecond_bench.turn_clips import Kind, Order, Pause, TurnClip

VERSION = 1
"""Of the way clips are made; another one makes them anew."""
SHORTEST_S, LONGEST_S = 0.2, 1.5
"""Pauses are drawn evenly on a logarithmic scale between the two: half are below 0.55 s."""
LABELLED_S = 0.15
"""A silence inside that is at least this long is a pause, whoever made it."""
LEAD_S, TAIL_S = 0.4, 2.4
"""Room before and after the speech; the tail lets the longest wait end."""
SPEECH_DBFS = (-30.0, -18.0)
ROOM_DBFS = (-66.0, -56.0)
"""The ranges that level and room noise are drawn from."""
LABEL_ROOM_DBFS = -66.0
"""Labels are made as in a room of this level, whatever noise a clip has: a label is where the
speaker stopped, not where the noise lets us hear it."""
QUIET_WITHIN_S = 0.06
"""How far from the end of a word its quietest place is looked for."""

Samples = NDArray[np.float32]


def make(order: Order, voice: Voice, phonemize: EnglishPhonemizer) -> tuple[TurnClip, Samples]:
    """One clip with its labels: 16 kHz, the same each time on the same machine."""
    rng = np.random.default_rng(order.seed)
    lengths_s = np.exp(rng.uniform(np.log(SHORTEST_S), np.log(LONGEST_S), len(order.kinds)))
    if order.way == "apart":
        parts = [_bare(_speech(part, voice)[0]) for part in order.parts]
    else:
        parts = _opened(order, voice, phonemize)
    sound, asked = _joined(parts, lengths_s)
    sound = sound * np.float32(10 ** (rng.uniform(*SPEECH_DBFS) / 20) / _rms(sound))
    pauses, last = label(sound, asked, order.kinds)
    room = _pink(len(sound), rng)
    noisy = sound + room * np.float32(10 ** (rng.uniform(*ROOM_DBFS) / 20) / _rms(room))
    clip = TurnClip(
        name=order.name, half=order.half, way=order.way, text=order.text, voice=order.voice,
        last_speech_sample=last, pauses=pauses,
    )  # fmt: skip
    return clip, noisy


def label(
    sound: Samples, asked: Sequence[tuple[int, int]], kinds: Sequence[Kind]
) -> tuple[list[Pause], int]:
    """The pauses inside clean speech and the sample after its last, by the rule of label.py.

    asked: the middle of each silence that was put in belongs to a pause of that kind.
    """
    threshold = LABEL_ROOM_DBFS + ABOVE_FLOOR_DB
    loud = np.flatnonzero(window_levels_dbfs(sound) >= threshold)
    pauses: list[Pause] = []
    for before, after in pairwise(loud.tolist()):
        start, end = (before + 1) * WINDOW_SAMPLES, after * WINDOW_SAMPLES
        if end - start >= LABELLED_S * RATE_HZ:
            pauses.append(Pause(start, end, _kind(start, end, asked, kinds)))
    return pauses, int(loud[-1] + 1) * WINDOW_SAMPLES


def _kind(start: int, end: int, asked: Sequence[tuple[int, int]], kinds: Sequence[Kind]) -> Kind:
    for (first, last), kind in zip(asked, kinds, strict=True):
        if start <= (first + last) // 2 < end:
            return kind
    return "natural"


def _speech(text: str, voice: Voice) -> tuple[Samples, list[Phone]]:
    """The text at 16 kHz, with the voice's own pauses, and its phones in seconds."""
    blocks: list[Samples] = []
    phones: list[Phone] = []
    samples = 0
    for chunk in voice.speak(text):
        at_s = samples / SPEECH_RATE_HZ
        phones += [Phone(p.symbol, p.start_s + at_s, p.end_s + at_s) for p in chunk.phones]
        blocks.append(chunk.samples)
        samples += len(chunk.samples)
    return resample(np.concatenate(blocks), from_hz=SPEECH_RATE_HZ, to_hz=RATE_HZ), phones


def _bare(speech: Samples) -> Samples:
    """The speech without the silence around it, 20 ms kept and faded."""
    loud = np.flatnonzero(window_levels_dbfs(speech) >= LABEL_ROOM_DBFS + ABOVE_FLOOR_DB)
    first = max(0, int(loud[0]) - 2) * WINDOW_SAMPLES
    return _faded(speech[first : (int(loud[-1]) + 3) * WINDOW_SAMPLES])


def _opened(order: Order, voice: Voice, phonemize: EnglishPhonemizer) -> list[Samples]:
    """The whole sentence in pieces, cut where the pauses are to be."""
    speech, phones = _speech(order.text, voice)
    cuts = [0]
    for count in range(1, len(order.parts)):
        said = sum(map(is_spoken, phonemize(" ".join(order.parts[:count]))))
        cuts.append(_quietest(speech, round(phones[min(said, len(phones)) - 1].end_s * RATE_HZ)))
    cuts.append(len(speech))
    pieces = [speech[a:b] for a, b in pairwise(cuts)]
    return [_bare(piece) for piece in pieces]


def _quietest(speech: Samples, around: int) -> int:
    """The sample in the quietest 10 ms near a place."""
    reach = round(QUIET_WITHIN_S * RATE_HZ)
    first = max(0, around - reach)
    levels = window_levels_dbfs(speech[first : around + reach])
    return first + int(np.argmin(levels)) * WINDOW_SAMPLES + WINDOW_SAMPLES // 2


def _joined(
    parts: Sequence[Samples], lengths_s: NDArray[np.float64]
) -> tuple[Samples, list[tuple[int, int]]]:
    """Lead, parts and pauses in turn, tail; where the pauses are, in samples."""
    blocks = [np.zeros(round(LEAD_S * RATE_HZ), np.float32)]
    asked: list[tuple[int, int]] = []
    for index, part in enumerate(parts):
        if index:
            begin = sum(map(len, blocks))
            blocks.append(np.zeros(round(float(lengths_s[index - 1]) * RATE_HZ), np.float32))
            asked.append((begin, begin + len(blocks[-1])))
        blocks.append(part)
    blocks.append(np.zeros(round(TAIL_S * RATE_HZ), np.float32))
    return np.concatenate(blocks), asked


def _faded(speech: Samples) -> Samples:
    """The same with 10 ms of fade at both ends, so that a cut does not click."""
    ramp = np.linspace(0, 1, min(WINDOW_SAMPLES, len(speech) // 2), dtype=np.float32)
    faded: Samples = speech.copy()
    faded[: len(ramp)] *= ramp
    faded[len(faded) - len(ramp) :] *= ramp[::-1]
    return faded


def _rms(samples: Samples) -> float:
    """Of what is not silence."""
    loud = samples[np.abs(samples) > 0.02] if np.abs(samples).max() > 0.02 else samples
    return float(np.sqrt(np.mean(np.square(loud, dtype=np.float64))))


def _pink(n: int, rng: np.random.Generator) -> Samples:
    """Noise that falls by 3 dB an octave from 60 Hz, as ventilation and distant crowds do."""
    spectrum = np.fft.rfft(rng.normal(size=n))
    hz = np.fft.rfftfreq(n, 1 / RATE_HZ)
    noise: Samples = np.fft.irfft(spectrum / np.sqrt(np.maximum(hz, 60)), n).astype(np.float32)
    return noise
