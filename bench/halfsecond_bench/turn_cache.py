"""The clips of the turn-end data set, made when they are first asked for.

The sound of 200 clips takes some 45 MB and a quarter of an hour of one core to make, so it is kept
in the store, and made anew when a sentence, a voice or the way of making them has changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from halfsecond.audio import load, save_wav
from halfsecond.models.tts.english import EnglishPhonemizer
from halfsecond.models.tts.kokoro import KokoroVoice
from halfsecond.store import Store
from halfsecond_bench import turn_speech
from halfsecond_bench.turn_clips import Order, TurnClip

FOLDER = "turn-clips"
VOICE, SPEAKERS = "kokoro", "kokoro-speakers"
"""Catalog names."""

Made = tuple[TurnClip, NDArray[np.float32]]


def clips(
    orders: Sequence[Order], store: Store, *, on_made: Callable[[], None] = lambda: None
) -> Iterator[Made]:
    """Each clip with its sound, 16 kHz mono; what is missing is made first, a voice at a time.

    on_made: called after each clip that was not there.

    Raises:
        ModelMissingError: a clip has to be made, and Kokoro or its speakers were not fetched.
    """
    folder = store.work_dir / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    missing = [order for order in orders if not _labels(folder, order).exists()]
    for order, (clip, samples) in _make(missing, store):
        save_wav(_sound(folder, order), samples)
        _labels(folder, order).write_bytes(msgspec.json.encode(clip))
        on_made()
    for order in orders:
        clip = msgspec.json.decode(_labels(folder, order).read_bytes(), type=TurnClip)
        yield clip, load(_sound(folder, order)).samples


def _make(orders: Iterable[Order], store: Store) -> Iterator[tuple[Order, Made]]:
    phonemizers: dict[bool, EnglishPhonemizer] = {}
    by_voice = sorted(orders, key=lambda order: order.voice)
    for name, of_voice in groupby(by_voice, key=lambda order: order.voice):
        is_british = name.startswith("b")
        if is_british not in phonemizers:
            phonemizers[is_british] = EnglishPhonemizer(is_british=is_british)
        model = store.path(VOICE) / "kokoro-v1.0.int8.onnx"
        voice = KokoroVoice(model, store.path(SPEAKERS) / "voices" / f"{name}.bin", threads=1)
        for order in of_voice:
            yield order, turn_speech.make(order, voice, phonemizers[is_british])


def fingerprint(order: Order) -> str:
    """Changes whenever the clip has to be made anew."""
    return hashlib.sha256(f"{turn_speech.VERSION} {order!r}".encode()).hexdigest()[:12]


def _labels(folder: Path, order: Order) -> Path:
    return folder / f"{order.name}-{fingerprint(order)}.json"


def _sound(folder: Path, order: Order) -> Path:
    return _labels(folder, order).with_suffix(".wav")
