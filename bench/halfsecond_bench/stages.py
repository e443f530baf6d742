"""Each model alone: how fast, and whether the words survive a short context."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec
import numpy as np
from rich.console import Console

from halfsecond import audio
from halfsecond.config import Config
from halfsecond.models.asr.network import FULL_CONTEXT_S
from halfsecond.models.asr.whisper import Whisper
from halfsecond.models.llm.answerer import Sampling
from halfsecond.models.llm.persona import build_messages, opening
from halfsecond.stages import openers
from halfsecond.stages.engines import model_directory, open_store
from halfsecond.store import Store
from halfsecond_bench import live_transcripts
from halfsecond_bench.answering import AnswererFigures, measure_answerers, print_answerers
from halfsecond_bench.clips import Clip, real_speech
from halfsecond_bench.live_transcripts import LiveFigures
from halfsecond_bench.statistics import Distribution, device, distribution, versions
from halfsecond_bench.tables import distributions_table, plain_table
from halfsecond_bench.wer import word_errors

CLAUSES = {
    "4 words": "The museum closes now,",
    "12 words": "The moon rock is in the Apollo room on the first floor.",
}
SPEECH = "The museum opens at nine in the morning, and the planetarium show starts at two o'clock."
QUESTION = "When does the museum close?"


class Words(msgspec.Struct, frozen=True):
    """One real clip in the context that it needs, and in Whisper's 30 s."""

    clip: str
    reference: str
    needed: str
    full: str
    needed_ms: float
    full_ms: float


class AsrFigures(msgspec.Struct, frozen=True):
    """Needed context against full context, in one run."""

    needed_ms: Distribution
    full_ms: Distribution
    speedup: Distribution
    """Full over needed, per clip."""
    wer_needed: float
    wer_full: float
    n_words: int
    clips_worse: list[str]
    """Clips in which the needed context makes more word errors than 30 s."""
    clips: list[Words]


class StagesReport(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="stages"):
    """The result of `bench stages`."""

    device: str
    versions: dict[str, str]
    asr: AsrFigures
    llm_first_token_ms: Distribution
    llm_token_ms: Distribution
    answerers: list[AnswererFigures] = []
    tts_first_chunk_ms: dict[str, Distribution]
    tts_real_time_factor: Distribution
    mesh_frame_ms: Distribution
    mesh_fps: float
    """Frames made in the time that all of them took, slow ones included."""
    wav2lip: dict[str, Any]
    live: LiveFigures | None = None


def measure(config: Config, clips: Sequence[Clip], *, rounds: int) -> StagesReport:
    """Measures one model after another; nothing else should run meanwhile."""
    store = open_store(config)
    asr = _measure_asr(config, store, real_speech(list(clips)), rounds)

    first_token, token = _measure_llm(config, store, rounds)
    chunks, factor, speech = _measure_tts(config, store, rounds)
    frames, mesh_fps = _measure_mesh(config, store, speech)
    return StagesReport(
        device=device(),
        versions=versions(),
        asr=asr,
        llm_first_token_ms=first_token,
        llm_token_ms=token,
        answerers=measure_answerers(config, store, clips, rounds=max(2, rounds // 3)),
        tts_first_chunk_ms=chunks,
        tts_real_time_factor=factor,
        mesh_frame_ms=frames,
        mesh_fps=mesh_fps,
        wav2lip=_measure_wav2lip(),
        live=live_transcripts.measure(
            config, store, real_speech(list(clips)), rounds=max(1, rounds // 3)
        ),
    )


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    started_s = time.perf_counter()
    result = call()
    return 1000 * (time.perf_counter() - started_s), result


def _measure_asr(config: Config, store: Store, clips: Sequence[Clip], rounds: int) -> AsrFigures:
    """Both contexts take turns on every clip, so that another load meets both."""
    directory, asr = model_directory("asr", config.asr.model, store), config.asr
    needed, full = (
        Whisper(directory, threads=asr.threads, margin_s=margin_s, device=asr.device)
        for margin_s in (asr.margin_s, FULL_CONTEXT_S)
    )
    rows: list[Words] = []
    for clip in clips:
        samples = audio.load(clip.path).samples
        times: dict[str, list[float]] = {"needed": [], "full": []}
        texts: dict[str, str] = {}
        for _ in range(max(3, rounds // 3)):
            for name, model in (("needed", needed), ("full", full)):
                took_ms, heard = _timed(partial(model.transcribe, samples, language="en"))
                times[name].append(took_ms)
                texts[name] = heard.text
        median = {name: round(float(np.median(values)), 2) for name, values in times.items()}
        rows.append(
            Words(
                clip.file, clip.transcript, texts["needed"], texts["full"],
                median["needed"], median["full"],
            )
        )  # fmt: skip
    errors = word_errors([(row.reference, row.needed) for row in rows])
    return AsrFigures(
        needed_ms=distribution([row.needed_ms for row in rows]),
        full_ms=distribution([row.full_ms for row in rows]),
        speedup=distribution([row.full_ms / row.needed_ms for row in rows]),
        wer_needed=round(errors.rate, 4),
        wer_full=round(word_errors([(row.reference, row.full) for row in rows]).rate, 4),
        n_words=errors.words,
        clips_worse=[row.clip for row in rows if _errors(row, row.needed) > _errors(row, row.full)],
        clips=rows,
    )


def _errors(row: Words, heard: str) -> int:
    return word_errors([(row.reference, heard)]).errors


def _measure_llm(config: Config, store: Store, rounds: int) -> tuple[Distribution, Distribution]:
    answerer = openers.open_answerer(config.llm, store.path(config.llm.model))
    persona = openers.open_persona(config)
    messages = build_messages(persona, [], QUESTION)
    firsts: list[float] = []
    others: list[float] = []
    for _ in range(rounds):
        answerer.prefill(opening(persona, []))  # what was asked before is not in the cache
        started_s = time.perf_counter()
        times = [
            1000 * (time.perf_counter() - started_s)
            for _ in answerer.answer(messages, sampling=Sampling(), is_cancelled=lambda: False)
        ]
        firsts.append(times[0])
        others.append((times[-1] - times[0]) / (len(times) - 1))
    answerer.close()
    return distribution(firsts[1:]), distribution(others[1:])


def _measure_tts(
    config: Config, store: Store, rounds: int
) -> tuple[dict[str, Distribution], Distribution, Any]:
    voice = openers.open_voice(config.tts, store.path(config.tts.model))
    chunks = {
        name: distribution([_timed(lambda t=text: next(voice.speak(t)))[0] for _ in range(rounds)])  # type: ignore[misc]
        for name, text in CLAUSES.items()
    }
    factors: list[float | None] = []
    speech: list[Any] = []
    for _ in range(rounds):
        took_ms, speech = _timed(lambda: list(voice.speak(SPEECH)))
        factors.append(took_ms / 1000 / (sum(len(c.samples) for c in speech) / 24_000))
    voice.close()
    return chunks, distribution([round(f, 5) for f in factors if f]), speech


def _measure_mesh(
    config: Config, store: Store, speech: Sequence[Any]
) -> tuple[Distribution, float]:
    """Milliseconds between frames of a driver that is fed a whole sentence; frames a second."""
    driver = openers.open_drivers(config.face, store.path(config.face.model))()
    driver.begin()
    times: list[float] = []
    for chunk in speech:
        samples = audio.resample(chunk.samples, from_hz=24_000, to_hz=16_000)
        before_s = time.perf_counter()
        for _ in driver.feed(samples, phones=chunk.phones):
            now_s = time.perf_counter()
            times.append(1000 * (now_s - before_s))
            before_s = now_s
    driver.close()
    return distribution(times), round(1000 * len(times) / sum(times), 1)


def _measure_wav2lip() -> dict[str, Any]:
    from halfsecond_bench import wav2lip_speed

    return wav2lip_speed.measure()


def print_report(report: StagesReport, console: Console) -> None:
    """The figures as tables."""
    asr = report.asr
    rows: list[tuple[str, Distribution]] = [
        ("asr, needed context, ms", asr.needed_ms),
        ("asr, 30 s context, ms", asr.full_ms),
        ("asr, times faster", asr.speedup),
        ("llm, first token, ms", report.llm_first_token_ms),
        ("llm, each further token, ms", report.llm_token_ms),
        *((f"tts, first chunk of {k}, ms", v) for k, v in report.tts_first_chunk_ms.items()),
        ("tts, real-time factor", report.tts_real_time_factor),
        ("mesh driver, a frame, ms", report.mesh_frame_ms),
    ]
    console.print(report.device)
    console.print(distributions_table(rows, spec=".3g"))
    console.print(
        f"WER over {len(asr.clips)} real clips ({asr.n_words} words): needed context "
        f"{100 * asr.wer_needed:.1f} %, 30 s {100 * asr.wer_full:.1f} %; worse in needed context: "
        f"{', '.join(asr.clips_worse) or 'none'}"
    )
    print_answerers(report.answerers, console)
    if report.live is not None:
        live_transcripts.print_figures(report.live, console)
    lips = plain_table("Wav2Lip", "threads", "batch", "ms a frame", "fps")
    for case in report.wav2lip["cases"]:
        lips.add_row(
            case["precision"], str(case["threads"]), str(case["batch"]),
            f"{case['frame_ms']['p50']:.1f}", f"{case['fps']:.1f}",
        )  # fmt: skip
    console.print(lips)
