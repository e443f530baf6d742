"""Transcripts that are made while somebody speaks, against the whole utterance at its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from halfsecond import audio
from halfsecond.config import Config
from halfsecond.models.asr.recognizer import Transcript
from halfsecond.stages.asr import AsrRequest
from halfsecond.stages.engines import build_stage
from halfsecond.stages.local import LocalStage
from halfsecond.stages.stage import Cancel, StageHandle
from halfsecond.stages.transcribing import INTERVAL_S, LiveTranscript
from halfsecond.store import Store
from halfsecond_bench.clips import Clip
from halfsecond_bench.label import last_speech_sample
from halfsecond_bench.statistics import Distribution, distribution
from halfsecond_bench.tables import plain_table
from halfsecond_bench.wer import word_errors

RATE_HZ = 16_000
LENGTHS_S = (2, 4, 8, 12, 20, 28)
VARIANTS = 3
"""Utterances of each length."""
GAP_S = 0.3
"""Silence after each joined clip: shorter than what ends a turn."""
INTERVALS_S = (0.5, 1.0, 2.0)
SPOKEN_STEP_S = 0.032
"""How often the session may offer what was heard: one window of the VAD."""

Asr = StageHandle[AsrRequest, Transcript]


@dataclass(frozen=True)
class Utterance:
    """Real speech, as long as wanted."""

    name: str
    samples: NDArray[np.float32]
    reference: str

    @property
    def length_s(self) -> float:
        """With the short silence at its end."""
        return len(self.samples) / RATE_HZ


class LengthFigures(msgspec.Struct, frozen=True):
    """Utterances of about one length, joined from real clips where no clip is as long."""

    about_s: float
    length_s: Distribution
    whole_ms: Distribution
    """The final transcript when nothing was heard before."""
    live_ms: Distribution
    """The same when the utterance was heard while it was spoken."""
    live_context_s: Distribution
    """Audio that the final encodes; the rest of what Whisper looks at is known silence."""


class IntervalFigures(msgspec.Struct, frozen=True):
    """What partials cost while somebody speaks, and what words they leave."""

    interval_s: float
    cores: float
    """Time in the recogniser per second of speech, over the utterances of 8 s and more."""
    partial_ms: Distribution
    wer: float


class LiveFigures(msgspec.Struct, frozen=True):
    """Partial transcripts of real speech."""

    lengths: list[LengthFigures]
    intervals: list[IntervalFigures]
    wer_whole: float
    wer_live: float
    n_words: int
    """Of the single clips and of the joined ones."""
    worse: list[str]
    """Utterances with more word errors live than whole, and both texts."""
    better: list[str]
    """Utterances with fewer."""


@dataclass(frozen=True)
class _Heard:
    """How one utterance fared."""

    text: str
    final_ms: float
    context_s: float
    partials_ms: list[float]


def measure(config: Config, store: Store, clips: Sequence[Clip], *, rounds: int) -> LiveFigures:
    """Speaks every utterance as fast as the recogniser follows; live and whole take turns."""
    return asyncio.run(_measure(LocalStage(build_stage("asr", config, store)), clips, rounds))


async def _measure(asr: Asr, clips: Sequence[Clip], rounds: int) -> LiveFigures:
    await asr.open()
    try:
        by_length = {s: [joined(clips, s, first=v) for v in range(VARIANTS)] for s in LENGTHS_S}
        lengths: list[LengthFigures] = []
        for about_s, utterances in by_length.items():
            lengths.append(await _measure_length(asr, about_s, utterances, rounds))
        long = [u for s, utterances in by_length.items() if s >= 8 for u in utterances]
        intervals = [await _measure_interval(asr, interval_s, long) for interval_s in INTERVALS_S]
        return await _compare_words(asr, [*map(single, clips), *long], lengths, intervals)
    finally:
        await asr.close()


def single(clip: Clip) -> Utterance:
    """The recording as it is."""
    return Utterance(clip.file, audio.load(clip.path).samples, clip.transcript)


def joined(clips: Sequence[Clip], about_s: float, *, first: int) -> Utterance:
    """Clips one after another, at most so long; each time the longest that still fits.

    first: which clip to begin with, of those that fit; each is said once.
    """
    room = round(about_s * RATE_HZ)
    left = sorted(((clip, _speech(clip)) for clip in clips), key=lambda pair: -len(pair[1]))
    left = [(clip, samples) for clip, samples in left if len(samples) <= room]
    chosen = [left.pop(first % len(left))]
    while left:
        clip, samples = left.pop(0)
        if sum(len(other) for _, other in chosen) + len(samples) <= room:
            chosen.append((clip, samples))
    return Utterance(
        " + ".join(clip.file.removesuffix(".flac") for clip, _ in chosen),
        np.concatenate([samples for _, samples in chosen]),
        " ".join(clip.transcript for clip, _ in chosen),
    )


def _speech(clip: Clip) -> NDArray[np.float32]:
    """The clip up to shortly after its last word."""
    samples = audio.load(clip.path).samples
    spoken = samples[: last_speech_sample(samples)]
    return np.concatenate([spoken, samples[len(spoken) :][: round(GAP_S * RATE_HZ)]])


async def _hear(asr: Asr, utterance: Utterance, *, interval_s: float | None) -> _Heard:
    """The transcript of an utterance that is offered as it grows, or only at its end (None)."""
    live = LiveTranscript(asr, language="en", interval_s=interval_s or INTERVAL_S)
    samples = utterance.samples
    partials_ms: list[float] = []
    if interval_s is not None:
        step = round(SPOKEN_STEP_S * RATE_HZ)
        for heard in range(step, len(samples), step):
            if live.is_due(heard):
                started_s = time.perf_counter()
                await live.partial(samples[:heard])
                partials_ms.append(1000 * (time.perf_counter() - started_s))
    started_s = time.perf_counter()
    final = await live.final(samples, Cancel())
    took_ms = 1000 * (time.perf_counter() - started_s)
    assert final is not None
    return _Heard(final.text, took_ms, final.context_s, partials_ms)


async def _measure_length(
    asr: Asr, about_s: float, utterances: Sequence[Utterance], rounds: int
) -> LengthFigures:
    whole_ms: list[float] = []
    live: list[_Heard] = []
    for utterance in utterances:
        for _ in range(rounds):
            whole_ms.append((await _hear(asr, utterance, interval_s=None)).final_ms)
            live.append(await _hear(asr, utterance, interval_s=INTERVAL_S))
    return LengthFigures(
        about_s=about_s,
        length_s=distribution([utterance.length_s for utterance in utterances]),
        whole_ms=distribution(whole_ms),
        live_ms=distribution([heard.final_ms for heard in live]),
        live_context_s=distribution([heard.context_s for heard in live]),
    )


async def _measure_interval(
    asr: Asr, interval_s: float, utterances: Sequence[Utterance]
) -> IntervalFigures:
    heard = [await _hear(asr, utterance, interval_s=interval_s) for utterance in utterances]
    partials_ms = [took_ms for one in heard for took_ms in one.partials_ms]
    spoken_s = sum(utterance.length_s for utterance in utterances)
    words = [(u.reference, one.text) for u, one in zip(utterances, heard, strict=True)]
    return IntervalFigures(
        interval_s=interval_s,
        cores=round(sum(partials_ms) / 1000 / spoken_s, 3),
        partial_ms=distribution(partials_ms),
        wer=round(word_errors(words).rate, 4),
    )


async def _compare_words(
    asr: Asr,
    utterances: Sequence[Utterance],
    lengths: list[LengthFigures],
    intervals: list[IntervalFigures],
) -> LiveFigures:
    pairs: dict[str, list[tuple[str, str]]] = {"whole": [], "live": []}
    worse: list[str] = []
    better: list[str] = []
    for utterance in utterances:
        whole = (await _hear(asr, utterance, interval_s=None)).text
        live = (await _hear(asr, utterance, interval_s=INTERVAL_S)).text
        pairs["whole"].append((utterance.reference, whole))
        pairs["live"].append((utterance.reference, live))
        change = _errors(utterance, live) - _errors(utterance, whole)
        if change > 0:
            worse.append(f"{utterance.name} ({change} more): {live!r} for {whole!r}")
        elif change < 0:
            better.append(utterance.name)
    wer_whole, wer_live = word_errors(pairs["whole"]), word_errors(pairs["live"])
    return LiveFigures(
        lengths=lengths,
        intervals=intervals,
        wer_whole=round(wer_whole.rate, 4),
        wer_live=round(wer_live.rate, 4),
        n_words=wer_whole.words,
        worse=worse,
        better=better,
    )


def _errors(utterance: Utterance, heard: str) -> int:
    return word_errors([(utterance.reference, heard)]).errors


def print_figures(figures: LiveFigures, console: Console) -> None:
    """The figures as tables."""
    finals = plain_table("final transcript of", "n", "whole, ms", "live, ms", "live encodes, s")
    for row in figures.lengths:
        finals.add_row(
            f"{row.length_s.p50:.1f} s",
            str(row.live_ms.n),
            f"{row.whole_ms.p50:.0f} (p95 {row.whole_ms.p95:.0f})",
            f"{row.live_ms.p50:.0f} (p95 {row.live_ms.p95:.0f})",
            f"{row.live_context_s.p50:.1f} (max {row.live_context_s.max:.1f})",
        )
    console.print(finals)
    partials = plain_table("partials every", "cores", "each, ms", "p95", "WER")
    for cost in figures.intervals:
        partials.add_row(
            f"{cost.interval_s:g} s", f"{cost.cores:.2f}", f"{cost.partial_ms.p50:.0f}",
            f"{cost.partial_ms.p95:.0f}", f"{100 * cost.wer:.1f} %",
        )  # fmt: skip
    console.print(partials)
    console.print(
        f"WER live {100 * figures.wer_live:.1f} %, whole {100 * figures.wer_whole:.1f} % of "
        f"{figures.n_words} words; better live: {', '.join(figures.better) or 'none'}; worse live: "
        f"{'; '.join(figures.worse) or 'none'}"
    )
