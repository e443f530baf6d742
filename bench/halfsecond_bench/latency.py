"""How long a visitor waits: real clips at real-time pace over the real wire, turn by turn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from halfsecond import audio, wire
from halfsecond.client import Client
from halfsecond.conversation import Exchange, Visitor
from halfsecond.recording import Reply
from halfsecond.timeline import Timeline
from halfsecond_bench.av_offset import Offset, content_offset, open_meter, signed_median_ms
from halfsecond_bench.barge_in import BargeInReport
from halfsecond_bench.barge_in import measure as barge_in_trials
from halfsecond_bench.clips import Clip
from halfsecond_bench.server_process import machine_cpu_s, running_server
from halfsecond_bench.statistics import (
    Distribution,
    device,
    distribution,
    versions,
    wilson_interval,
)
from halfsecond_bench.wer import word_errors

BETWEEN_TURNS_S = 0.7
"""A visitor breathes; the server takes the history into its cache."""
COLD_STARTS = 3
"""First turns, which pay for what is loaded lazily and are counted apart."""
ON_TIME_S = 0.02
"""A picture that comes half a frame after its time is still the one that is shown then."""


class Heard(msgspec.Struct, frozen=True):
    """What was said and what was understood."""

    clip: str
    kind: str
    reference: str
    hypothesis: str
    answer: str
    is_true: bool


class TurnFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One turn; milliseconds after the labelled last speech sample, or of a stage's work."""

    clip: str
    voice_to_first_audio_ms: float | None
    voice_to_first_frame_ms: float | None
    endpoint_wait_ms: float | None
    asr_ms: float | None
    llm_first_clause_ms: float | None
    tts_first_chunk_ms: float | None
    lipsync_first_batch_ms: float | None
    fps: float | None
    gaps: int
    wasted_speculation_ms: float = 0.0
    """Work of stages on answers that were begun in secret and dropped before this one."""
    av_offset_ms: float | None = None


class LatencyReport(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="latency"):
    """The result of `bench latency`; docs/latency.md says what each figure means."""

    turns: int
    profile: str
    device: str
    versions: dict[str, str]
    threads: dict[str, int]
    voice_to_first_audio_ms: Distribution
    voice_to_first_frame_ms: Distribution
    cold_voice_to_first_audio_ms: Distribution
    """Of the first turn after a start, which the others leave out."""
    cold_voice_to_first_frame_ms: Distribution
    barge_in_pause_ms: Distribution
    """Onset of a visitor's speech over an answer to the client holding `pause`."""
    decision_to_pause_ms: Distribution
    abandon_ms: Distribution
    wasted_speculation_ms: Distribution
    endpoint_wait_ms: Distribution
    asr_ms: Distribution
    llm_first_clause_ms: Distribution
    tts_first_chunk_ms: Distribution
    lipsync_first_batch_ms: Distribution
    av_offset_ms: Distribution
    """Of absolute values."""
    av_offset_signed_median_ms: float | None
    fps: Distribution
    """Pictures that came on time per second of speech; `p50` and `max` above `fps` do not exist."""
    fps_min: float
    gaps: int
    rss_mb: float
    rss_peak_mb: float
    ready_s: float
    cpu_share: float
    """Processor time of the server per second of the run, in cores."""
    others_cpu_share: float | None = None
    """The same of everything but the server and its client, and what a hypervisor took."""
    transcripts: list[Heard]
    wer: float
    true_answers: int
    true_answers_interval: tuple[float, float]
    unanswered: list[str]
    false_cutoffs: int
    """Turns that the server began before the question was over."""
    barge_in: BargeInReport
    per_turn: list[TurnFigures]
    timelines: list[Timeline]


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What was recorded of a server, before anything is made of it."""

    cold: list[tuple[Clip, Exchange]]
    exchanges: list[tuple[Clip, Exchange]]
    barge_in: BargeInReport
    rss_mb: float
    rss_peak_mb: float
    ready_s: float
    cpu_share: float
    others_cpu_share: float


Progress = Callable[[int], None]
"""Told how many turns are done."""


async def measure(
    clips: Sequence[Clip],
    *,
    turns: int,
    interruptions: Sequence[Clip],
    false_alarms: Sequence[Clip],
    config_toml: str,
    profile: str,
    threads: dict[str, int],
    face_models: Path,
    progress: Progress | None = None,
) -> LatencyReport:
    """Runs `turns` turns and the sounds over answers, in one session of a server of its own.

    The first turn of that server, and of two others, is the cold one.

    Raises:
        ServerError: the server did not start, or a turn did not end.
    """
    cold = [await _cold_turn(clips[n % len(clips)], config_toml) for n in range(1, COLD_STARTS)]
    run = await _run(
        clips,
        turns=turns,
        cold=cold,
        interruptions=interruptions,
        false_alarms=false_alarms,
        config_toml=config_toml,
        progress=progress or (lambda _: None),
    )
    return _report(run, profile=profile, threads=threads, face_models=face_models)


async def _cold_turn(clip: Clip, config_toml: str) -> tuple[Clip, Exchange]:
    async with (
        running_server(config_toml) as server,
        Client(server.address, hello=_hello()) as client,
    ):
        visitor = Visitor(client)
        exchange = await visitor.say(audio.load(clip.path).samples)
        await visitor.close()
    return clip, exchange


async def _run(
    clips: Sequence[Clip],
    *,
    turns: int,
    cold: list[tuple[Clip, Exchange]],
    interruptions: Sequence[Clip],
    false_alarms: Sequence[Clip],
    config_toml: str,
    progress: Progress,
) -> Run:
    exchanges: list[tuple[Clip, Exchange]] = []
    async with running_server(config_toml) as server:
        cpu_s, began_s = server.cpu_s(), asyncio.get_running_loop().time()
        machine_s, client_s = machine_cpu_s(), time.process_time()
        async with Client(server.address, hello=_hello()) as client:
            visitor = Visitor(client)
            for number in range(-1, turns):
                clip = clips[number % len(clips)]
                exchange = await visitor.say(audio.load(clip.path).samples)
                (exchanges if number >= 0 else cold).append((clip, exchange))
                progress(number + 1)
                await asyncio.sleep(BETWEEN_TURNS_S)
            await visitor.close()
            run_s = asyncio.get_running_loop().time() - began_s
            cpu_share = (server.cpu_s() - cpu_s) / run_s
            all_share = (machine_cpu_s() - machine_s) / run_s
            client_share = (time.process_time() - client_s) / run_s
            barge_in = await barge_in_trials(
                client, interruptions=interruptions, others=false_alarms
            )
        return Run(
            cold=cold,
            exchanges=exchanges,
            barge_in=barge_in,
            rss_mb=round(server.rss_mb(), 1),
            rss_peak_mb=round(server.peak_rss_mb(), 1),
            ready_s=round(server.ready_s, 2),
            cpu_share=round(cpu_share, 3),
            others_cpu_share=round(max(0.0, all_share - cpu_share - client_share), 3),
        )


def _hello() -> wire.Hello:
    return wire.Hello(client="halfsecond bench", credit=200)


def _report(run: Run, *, profile: str, threads: dict[str, int], face_models: Path) -> LatencyReport:
    exchanges = run.exchanges
    meter = open_meter(face_models)
    offsets = [content_offset(exchange.reply, meter) for _, exchange in exchanges]
    figures = [
        _figures(clip, exchange, offset)
        for (clip, exchange), offset in zip(exchanges, offsets, strict=True)
    ]
    cold = [_figures(clip, exchange, None) for clip, exchange in run.cold]
    heard = [_heard(clip, exchange.reply) for clip, exchange in exchanges]
    true = sum(h.is_true for h in heard)

    def spread(name: str) -> Distribution:
        return distribution([getattr(f, name) for f in figures])

    return LatencyReport(
        turns=len(figures),
        profile=profile,
        device=device(),
        versions=versions(),
        threads=threads,
        voice_to_first_audio_ms=spread("voice_to_first_audio_ms"),
        voice_to_first_frame_ms=spread("voice_to_first_frame_ms"),
        cold_voice_to_first_audio_ms=distribution([f.voice_to_first_audio_ms for f in cold]),
        cold_voice_to_first_frame_ms=distribution([f.voice_to_first_frame_ms for f in cold]),
        barge_in_pause_ms=run.barge_in.barge_in_pause_ms,
        decision_to_pause_ms=run.barge_in.decision_to_pause_ms,
        abandon_ms=run.barge_in.abandon_ms,
        wasted_speculation_ms=spread("wasted_speculation_ms"),
        endpoint_wait_ms=spread("endpoint_wait_ms"),
        asr_ms=spread("asr_ms"),
        llm_first_clause_ms=spread("llm_first_clause_ms"),
        tts_first_chunk_ms=spread("tts_first_chunk_ms"),
        lipsync_first_batch_ms=spread("lipsync_first_batch_ms"),
        av_offset_ms=distribution([abs(1000 * o.offset_s) if o else None for o in offsets]),
        av_offset_signed_median_ms=signed_median_ms([o for o in offsets if o]),
        fps=spread("fps"),
        fps_min=min((f.fps for f in figures if f.fps is not None), default=0.0),
        gaps=sum(f.gaps for f in figures),
        rss_mb=run.rss_mb,
        rss_peak_mb=run.rss_peak_mb,
        ready_s=run.ready_s,
        cpu_share=run.cpu_share,
        others_cpu_share=run.others_cpu_share,
        transcripts=heard,
        wer=round(word_errors([(h.reference, h.hypothesis) for h in heard]).rate, 4),
        true_answers=true,
        true_answers_interval=wilson_interval(true, len(heard)),
        unanswered=[clip.file for clip, exchange in exchanges if not exchange.reply.audio],
        false_cutoffs=sum(len(exchange.cut_ins) for _, exchange in exchanges),
        barge_in=run.barge_in,
        per_turn=figures,
        timelines=[timeline_of(clip, exchange) for clip, exchange in exchanges],
    )


def _heard(clip: Clip, reply: Reply) -> Heard:
    return Heard(
        clip=clip.file,
        kind=clip.kind,
        reference=clip.transcript,
        hypothesis=reply.transcript,
        answer=reply.text,
        is_true=clip.is_answered_by(reply.text),
    )


def _figures(clip: Clip, exchange: Exchange, offset: Offset | None) -> TurnFigures:
    turn = timeline_of(clip, exchange)
    marks = turn.relative().marks
    starts: dict[str, float] = {}
    for span in turn.spans:
        if span.detail not in ("begin", "judge"):
            starts.setdefault(span.stage, span.start_s)

    def since(stage: str, mark: str) -> float | None:
        if stage not in starts or mark not in turn.marks:
            return None
        return _ms(turn.marks[mark] - starts[stage])

    asr = next((s for s in turn.spans if s.stage == "asr"), None)
    return TurnFigures(
        clip=clip.file,
        voice_to_first_audio_ms=_ms(marks.get("first_audio_heard")),
        voice_to_first_frame_ms=_ms(marks.get("first_frame_seen")),
        endpoint_wait_ms=_ms(marks.get("endpoint")),
        asr_ms=_ms(asr.end_s - asr.start_s) if asr else None,
        llm_first_clause_ms=since("llm", "llm_first_clause"),
        tts_first_chunk_ms=since("tts", "tts_first_chunk"),
        lipsync_first_batch_ms=since("lipsync", "lipsync_first_frame"),
        fps=frames_per_second(exchange.reply),
        gaps=len(exchange.reply.gaps()),
        wasted_speculation_ms=1000
        * sum(s.end_s - s.start_s for s in turn.spans if s.stage == "dropped"),
        av_offset_ms=_ms(offset.offset_s) if offset else None,
    )


def frames_per_second(reply: Reply) -> float | None:
    """Driven pictures that came by the time they were due, per second of speech.

    The first pictures are due when the first of them came: until then the face rests.
    """
    start_s, first_s = reply.playback_start_s, reply.first_driven_s()
    duration_s = len(reply.samples()) / 24_000
    if start_s is None or first_s is None or not duration_s:
        return None
    from_s = first_s - start_s
    due = [s for s in reply.pictures if s.is_driven and from_s <= s.pts_s < duration_s]
    on_time = sum(s.at_s <= start_s + s.pts_s + ON_TIME_S for s in due)
    return round(on_time / (duration_s - from_s), 2) if duration_s > from_s else None


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(1000 * seconds, 2)


def timeline_of(clip: Clip, exchange: Exchange) -> Timeline:
    """The turn from the labelled last speech sample on, with the server's own guess beside it."""
    timeline = exchange.timeline()
    if (guess_s := timeline.marks.pop("last_speech", None)) is not None:
        timeline.mark("server_last_speech", guess_s)
    timeline.mark("last_speech", exchange.spoken_from_s + clip.last_speech_s)
    return timeline
