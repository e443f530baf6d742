"""A Whisper on the recordings, on the CPU and on the GPU: the same words?"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halfsecond.errors import HalfsecondError
from halfsecond.models.asr.whisper import Whisper
from halfsecond.sessions import Device
from halfsecond_bench.gpu.candidates import Candidate
from halfsecond_bench.gpu.figures import SpeechFigures
from halfsecond_bench.statistics import distribution
from halfsecond_bench.wer import edit_distance, spoken_words

TOLERANCE = 0.02
"""Of the words, the part that may be others: two of a hundred are so near that the last digit of a
product decides (on the CPU one of 233 between two libraries, docs/export.md)."""

Recordings = Sequence[NDArray[np.float32]]


def open_whisper(path: Path, device: Device) -> Whisper:
    """The recognizer of a directory on a device."""
    return Whisper(path, device=device)


def check_speech(
    candidate: Candidate,
    recordings: Recordings,
    *,
    open_model: Callable[[Path, Device], Whisper] = open_whisper,
    clock: Callable[[], float] = time.perf_counter,
) -> SpeechFigures:
    """Each recording once on both; the warm-up is part of opening a model."""
    reference = candidate.on_cpu
    try:
        found, gpu_ms = _hear(open_model(candidate.path, "cuda"), recordings, clock)
        if reference is None:
            return SpeechFigures(
                name=candidate.name,
                outcome="ran",
                detail="the networks that it was built from are not here to compare with",
                gpu_ms=distribution(gpu_ms),
            )
        expected, cpu_ms = _hear(open_model(reference, "cpu"), recordings, clock)
    except HalfsecondError as error:
        return SpeechFigures(name=candidate.name, outcome="not run", detail=str(error))
    pairs = [(spoken_words(a), spoken_words(b)) for a, b in zip(expected, found, strict=True)]
    words = sum(len(before) for before, _ in pairs)
    differ = sum(edit_distance(before, after) for before, after in pairs)
    return SpeechFigures(
        name=candidate.name,
        outcome="same" if differ <= TOLERANCE * words else "differs",
        words=words,
        words_that_differ=differ,
        cpu_ms=distribution(cpu_ms),
        gpu_ms=distribution(gpu_ms),
    )


def _hear(
    whisper: Whisper, recordings: Recordings, clock: Callable[[], float]
) -> tuple[list[str], list[float]]:
    texts: list[str] = []
    times: list[float] = []
    for samples in recordings:
        started_s = clock()
        texts.append(whisper.transcribe(samples).text)
        times.append(1000 * (clock() - started_s))
    whisper.close()
    return texts, times
