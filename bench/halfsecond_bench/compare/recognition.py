"""Speech recognition alone: our call against faster-whisper's, same weights, same clips."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from halfsecond import audio
from halfsecond_bench.clips import Clip
from halfsecond_bench.compare.turns import bootstrap_median
from halfsecond_bench.statistics import Distribution, distribution
from halfsecond_bench.wer import word_errors

Transcribe = Callable[[NDArray[np.float32]], str]
"""(n,) mono 16 kHz to words."""

GREEDY: dict[str, Any] = {
    "language": "en",
    "beam_size": 1,
    "best_of": 1,
    "temperature": 0.0,
    "without_timestamps": True,
    "condition_on_previous_text": False,
}
"""What is fastest of faster-whisper's own options without changing the words that it hears: no
beam, no second try at a higher temperature, no time stamps to decode."""


class ClipWords(msgspec.Struct, frozen=True):
    """One recording, as one recogniser heard it."""

    clip: str
    heard: str
    errors: int
    ms: float


class Recognised(msgspec.Struct, frozen=True, kw_only=True):
    """One recogniser over all clips."""

    ms: Distribution
    wer: float
    clips: list[ClipWords]


class RecognitionRatio(msgspec.Struct, frozen=True, kw_only=True):
    """How many times sooner ours is than another call; and whether it pays for that in words."""

    theirs: str
    times: float
    """The median of the clips' ratios."""
    interval: tuple[float, float]
    """95 %, by bootstrap over the clips."""
    least: float
    most: float
    n: int
    clips_worse: list[str]
    """Clips in which ours has more word errors."""
    clips_better: list[str]


class RecognitionReport(msgspec.Struct, frozen=True, kw_only=True):
    """The recogniser stage of `bench compare`."""

    n_words: int
    recognisers: dict[str, Recognised]
    ratios: list[RecognitionRatio]


def open_faster_whisper(directory: Path, *, threads: int) -> Any:
    """A `faster_whisper.WhisperModel` on our weights at our precision; needs the extra `peers`."""
    from faster_whisper import WhisperModel  # pyright: ignore[reportMissingImports]

    return WhisperModel(str(directory), device="cpu", compute_type="int8", cpu_threads=threads)


def call(model: Any, **options: Any) -> Transcribe:
    """A call of faster-whisper with these options; without any it is the default one."""

    def transcribe(samples: NDArray[np.float32]) -> str:
        segments, _ = model.transcribe(samples, **options)
        return " ".join(segment.text.strip() for segment in segments)

    return transcribe


def compare(
    recognisers: Mapping[str, Transcribe],
    clips: Sequence[Clip],
    *,
    rounds: int,
    now: Callable[[], float] = time.perf_counter,
) -> RecognitionReport:
    """Each recogniser on every clip, `rounds` times in turns; the first one is ours.

    A clip's time is its median, and the first round is not counted.
    """
    rows: dict[str, list[ClipWords]] = {name: [] for name in recognisers}
    for clip in clips:
        samples = audio.load(clip.path).samples
        times: dict[str, list[float]] = {name: [] for name in recognisers}
        words: dict[str, str] = {}
        for _ in range(rounds + 1):
            for name, transcribe in recognisers.items():
                began = now()
                words[name] = transcribe(samples)
                times[name].append(1000 * (now() - began))
        for name in recognisers:
            errors = word_errors([(clip.transcript, words[name])]).errors
            ms = round(float(np.median(times[name][1:])), 2)
            rows[name].append(ClipWords(clip.file, words[name], errors, ms))
    n_words = word_errors([(clip.transcript, "") for clip in clips]).words
    ours, *others = rows
    return RecognitionReport(
        n_words=n_words,
        recognisers={name: _summary(found, n_words) for name, found in rows.items()},
        ratios=[_ratio(name, rows[ours], rows[name]) for name in others],
    )


def _summary(rows: list[ClipWords], n_words: int) -> Recognised:
    errors = sum(row.errors for row in rows)
    return Recognised(
        ms=distribution([row.ms for row in rows]), wer=round(errors / n_words, 4), clips=rows
    )


def _ratio(name: str, ours: list[ClipWords], theirs: list[ClipWords]) -> RecognitionRatio:
    pairs = list(zip(ours, theirs, strict=True))
    times = [their.ms / our.ms for our, their in pairs]
    low, high = bootstrap_median(times)
    return RecognitionRatio(
        theirs=name,
        times=round(float(np.median(times)), 2),
        interval=(round(low, 2), round(high, 2)),
        least=round(min(times), 2),
        most=round(max(times), 2),
        n=len(pairs),
        clips_worse=[our.clip for our, their in pairs if our.errors > their.errors],
        clips_better=[our.clip for our, their in pairs if our.errors < their.errors],
    )
