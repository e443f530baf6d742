"""What a soak found: one record a step, and what they amount to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median

import msgspec
import numpy as np

from halfsecond.recording import Reply
from halfsecond_bench.soak_script import Kind
from halfsecond_bench.statistics import Distribution, device, distribution, versions

SPEECH_RATE_HZ = 24_000
FRAME_S = 1 / 25
WARM_UP_SHARE = 0.1
"""Steps that are not judged: caches fill, and what is loaded lazily is loaded."""
WINDOW_SHARE = 0.1
"""Steps after the warm-up, and at the end, whose medians are compared."""
LEAST_WINDOW = 5
MEMORY_PERCENT = 2.0
"""Growth from warm-up to end that still counts as flat."""
FRAME_MS = 40.0


class SoakTurn(msgspec.Struct, frozen=True, kw_only=True):
    """How one turn ended, and what its time stamps say."""

    reason: str
    question: str
    audio_error_ms: float
    """The most that a packet's `pts` is off the samples before it."""
    video_lead_ms: float | None
    """End of the last picture less the end of the sound; None unless it was played to its end."""
    gaps: int
    """Places where playback ran dry at this pace."""
    queue_ms: dict[str, float]
    """The longest wait for the engine of each stage."""


class SoakStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step, and the server right after it."""

    kind: Kind
    took_s: float
    pace: float
    """1 where the visitor lived in real time: only there are latency, gaps and offset told."""
    turns: list[SoakTurn]
    rss_mb: float
    threads: int
    open_files: int
    sessions: int
    queued: int
    """Requests that the stages held; 0, or 1 for the resting face."""
    prompt_cache_tokens: int
    stale: int
    """Sound and pictures of an answer that was cut off and still came."""
    voice_to_first_audio_ms: float | None = None
    av_offset_ms: float | None = None
    errors: list[str] = []
    stuck: str = ""


class Course(msgspec.Struct, frozen=True):
    """How a quantity went over the run."""

    warm: float
    """Median right after the warm-up."""
    end: float
    """Median at the end."""
    max: float
    per_100_steps: float
    """Slope of the line through all steps after the warm-up (Theil and Sen: outliers change
    nothing)."""

    @property
    def growth_percent(self) -> float:
        """From warm-up to end."""
        return 100 * (self.end / self.warm - 1) if self.warm else 0.0


class SoakReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result of `bench soak`; docs/latency.md says what each figure means."""

    device: str
    versions: dict[str, str]
    threads: dict[str, int]
    profile: str
    steps: int
    turns: int
    """A step may hold two: an answer and the one that interrupted it."""
    warm_up_steps: int
    pace: float
    seed: int
    took_s: float
    rss_mb: Course
    rss_growth_percent: float
    rss_peak_mb: float
    open_files: Course
    server_threads: Course
    prompt_cache_tokens_max: int
    reasons: dict[str, int]
    av_offset_ms: Distribution
    """Of absolute values, from content, of answers played at the pace of real time."""
    av_offset_course_ms: Course
    """Signed; positive: the sound is ahead."""
    voice_to_first_audio_ms: Distribution
    voice_to_first_audio_course_ms: Course
    audio_error_ms: Distribution
    video_lead_ms: Distribution
    """Of absolute values."""
    queue_ms: dict[str, Distribution]
    """Wait for each engine, the longest of each turn."""
    queued_max: int
    stale: int
    stuck: list[str]
    unanswered: int
    """Steps in which no turn ended, but for those of clients that vanished."""
    errors: list[str]
    faults: list[str]
    """Errors in the server's log."""
    left: dict[str, float]
    """What the server still held when everybody had left."""
    coughs: int
    coughs_that_stopped: int
    invented_questions: int
    """Turns with words beside the question, where there was a cough or noise."""
    gaps: int
    """Of answers played at the pace of real time."""
    server_cores: float
    checks: dict[str, bool]
    """What is asked of a soak, and whether it was so."""
    series: list[SoakStep]


def turn_of(reply: Reply, gaps: int) -> SoakTurn:
    """The figures of a turn that has ended."""
    spoken_s, error_s = 0.0, 0.0
    for _, pts_s, samples in reply.audio:
        error_s = max(error_s, abs(pts_s - spoken_s))
        spoken_s += len(samples) / SPEECH_RATE_HZ
    reason = reply.end.reason if reply.end else ""
    lead_ms = None
    driven = [shown.pts_s for shown in reply.pictures if shown.is_driven]
    if reason == "complete" and driven and spoken_s:
        lead_ms = round(1000 * (driven[-1] + FRAME_S - spoken_s), 2)
    return SoakTurn(
        reason=reason,
        question=reply.transcript,
        audio_error_ms=round(1000 * error_s, 3),
        video_lead_ms=lead_ms,
        gaps=gaps,
        queue_ms=_queue_ms(reply),
    )


def _queue_ms(reply: Reply) -> dict[str, float]:
    longest: dict[str, float] = {}
    for stage, _, start_s, end_s in reply.end.spans if reply.end else []:
        if stage.endswith(".queue"):
            name = stage.removesuffix(".queue")
            longest[name] = max(longest.get(name, 0.0), round(1000 * (end_s - start_s), 2))
    return longest


def course(values: Sequence[float | None], *, warm_up: int) -> Course:
    """How `values`, one a step, went after the first `warm_up`; None where there was none."""
    known = [(at, v) for at, v in enumerate(values) if v is not None and at >= warm_up]
    if not known:
        return Course(float("nan"), float("nan"), float("nan"), float("nan"))
    window = max(LEAST_WINDOW, round(WINDOW_SHARE * len(known)))
    found = [v for _, v in known]
    return Course(
        warm=round(median(found[:window]), 2),
        end=round(median(found[-window:]), 2),
        max=round(max(found), 2),
        per_100_steps=round(100 * _slope(known), 3),
    )


def _slope(points: Sequence[tuple[int, float]]) -> float:
    """Median of the slopes between all pairs (Theil 1950, Sen 1968); 0 for fewer than two."""
    at, values = (np.array(column, float) for column in zip(*points, strict=True))
    first, second = np.triu_indices(len(at), k=1)
    if not len(first):
        return 0.0
    return float(np.median((values[second] - values[first]) / (at[second] - at[first])))


def report_of(
    steps: Sequence[SoakStep],
    *,
    profile: str,
    threads: dict[str, int],
    pace: float,
    seed: int,
    took_s: float,
    server_cores: float,
    rss_peak_mb: float,
    faults: Sequence[str],
    left: dict[str, float],
) -> SoakReport:
    """What the steps amount to."""
    turns = [turn for step in steps for turn in step.turns]
    warm_up = round(WARM_UP_SHARE * len(steps))
    rss = course([step.rss_mb for step in steps], warm_up=warm_up)
    waits = [step.voice_to_first_audio_ms for step in steps]
    offsets = [step.av_offset_ms for step in steps]
    leads = [turn.video_lead_ms for turn in turns]
    report = SoakReport(
        device=device(),
        versions=versions(),
        threads=threads,
        profile=profile,
        steps=len(steps),
        turns=len(turns),
        warm_up_steps=warm_up,
        pace=pace,
        seed=seed,
        took_s=round(took_s, 1),
        rss_mb=rss,
        rss_growth_percent=round(rss.growth_percent, 2),
        rss_peak_mb=round(rss_peak_mb, 1),
        open_files=course([step.open_files for step in steps], warm_up=warm_up),
        server_threads=course([step.threads for step in steps], warm_up=warm_up),
        prompt_cache_tokens_max=max((step.prompt_cache_tokens for step in steps), default=0),
        reasons=dict(Counter(turn.reason for turn in turns)),
        av_offset_ms=distribution([None if o is None else abs(o) for o in offsets]),
        av_offset_course_ms=course(offsets, warm_up=0),
        voice_to_first_audio_ms=distribution(waits),
        voice_to_first_audio_course_ms=course(waits, warm_up=0),
        audio_error_ms=distribution([turn.audio_error_ms for turn in turns]),
        video_lead_ms=distribution([None if lead is None else abs(lead) for lead in leads]),
        queue_ms=_queues(turns),
        queued_max=max((step.queued for step in steps), default=0),
        stale=sum(step.stale for step in steps),
        stuck=[f"{at} ({s.kind}): {s.stuck}" for at, s in enumerate(steps) if s.stuck],
        unanswered=sum(not step.turns and step.kind != "vanish" for step in steps),
        errors=[error for step in steps for error in step.errors],
        faults=list(faults),
        left=left,
        coughs=sum(step.kind == "cough" for step in steps),
        coughs_that_stopped=sum(map(_is_stopped_by_cough, steps)),
        invented_questions=sum(map(_invented, steps)),
        gaps=sum(turn.gaps for step in steps if step.pace == 1 for turn in step.turns),
        server_cores=round(server_cores, 2),
        checks={},
        series=list(steps),
    )
    return msgspec.structs.replace(report, checks=_checks(report))


def _is_stopped_by_cough(step: SoakStep) -> bool:
    return step.kind == "cough" and any(turn.reason == "interrupted" for turn in step.turns)


def _invented(step: SoakStep) -> int:
    """Questions beyond the one that was asked aloud, where something else was to be heard too."""
    if step.kind not in ("cough", "silence"):
        return 0
    return max(0, sum(bool(turn.question) for turn in step.turns) - 1)


def _checks(report: SoakReport) -> dict[str, bool]:
    offset = report.av_offset_course_ms
    return {
        f"memory flat within {MEMORY_PERCENT:g} %": report.rss_growth_percent <= MEMORY_PERCENT,
        "A/V offset within one frame (p95)": report.av_offset_ms.p95 <= FRAME_MS,
        "A/V offset did not drift by a frame": abs(offset.end - offset.warm) <= FRAME_MS,
        "time stamps exact": report.audio_error_ms.max < 1.0,
        "every turn ended, every state became idle": not report.stuck,
        "nothing stale reached the client": report.stale == 0,
        "no invented question": report.invented_questions == 0,
        "descriptors and threads flat": _is_flat(report.open_files)
        and _is_flat(report.server_threads),
        "nothing was left when everybody had gone": not any(report.left.values()),
        "no errors": not report.errors and not report.faults,
    }


def _is_flat(counts: Course) -> bool:
    return counts.end <= counts.warm + 1


def _queues(turns: Sequence[SoakTurn]) -> dict[str, Distribution]:
    stages = sorted({stage for turn in turns for stage in turn.queue_ms})
    return {s: distribution([turn.queue_ms.get(s) for turn in turns]) for s in stages}
