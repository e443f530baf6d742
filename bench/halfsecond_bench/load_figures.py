"""What several visitors at once met with: per level, per stage, and what broke first."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from halfsecond.conversation import Exchange
from halfsecond.timeline import Timeline
from halfsecond_bench.clips import Clip
from halfsecond_bench.latency import frames_per_second, timeline_of
from halfsecond_bench.statistics import Distribution, device, distribution, versions

ENDPOINT, DELIVERY = "turn end", "delivery"
STAGES = ("asr", "llm", "tts", "lipsync")
JUDGE = "judge"
"""Detail of a question to the language model about the visitor's words; no part of the answer."""
DONE_MARKS = {
    "llm": "llm_first_clause",
    "tts": "tts_first_chunk",
    "lipsync": "lipsync_first_frame",
}
"""When what the visitor waits for is there; recognition is done when its span ends."""


class StageTime(msgspec.Struct, frozen=True):
    """What a stage took of one turn, up to what the visitor waits for, in milliseconds."""

    wait_ms: float | None
    """In its queue; None where the stage runs elsewhere and does not tell."""
    work_ms: float


class StageLoad(msgspec.Struct, frozen=True):
    """One part of the wait at one level."""

    wait_ms: Distribution | None
    """None where nothing queues, or the stage runs elsewhere and does not tell."""
    work_ms: Distribution

    @property
    def p95_ms(self) -> float:
        """Both together; of different turns, so an upper bound."""
        return (self.wait_ms.p95 if self.wait_ms else 0.0) + self.work_ms.p95


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """`sessions` visitors at once."""

    sessions: int
    turns: int
    """That were answered."""
    refused: int
    """Visitors that were told that the server is busy, or not let in."""
    failures: list[str]
    voice_to_first_audio_ms: Distribution
    voice_to_first_frame_ms: Distribution
    stages: dict[str, StageLoad]
    """By part: the wait for the end of the turn, each stage up to its first result, and the way
    from the server's queue to the client."""
    fps: Distribution
    fps_min: float
    gaps: int
    false_cutoffs: int
    dropped_pictures: int
    """Lost because a client granted none; the harness grants as it receives."""
    server_cores: float
    client_cores: float
    """Of the harness, which runs on the same machine."""
    rss_mb: float

    def is_within(self, budget_ms: float) -> bool:
        """Whether everybody was served, and the p95 of the wait for sound is in the budget."""
        if self.refused or self.failures or not self.turns:
            return False
        return self.voice_to_first_audio_ms.p95 <= budget_ms


class LoadReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result of `bench load`; docs/latency.md says what each figure means."""

    device: str
    versions: dict[str, str]
    threads: dict[str, int]
    profile: str
    seed: int
    budget_ms: float
    holds_sessions: int
    """The most visitors at once within the budget; 0 if not even one."""
    breaks_at_sessions: int | None
    """None: the budget held to the end."""
    first_to_break: str
    """The part that grew most from one visitor to the last level."""
    verdict: str
    levels: list[Level]


def level_of(
    exchanges: Sequence[tuple[Clip, Exchange]],
    *,
    sessions: int,
    refused: int,
    failures: Sequence[str],
    dropped_pictures: int,
    server_cores: float,
    client_cores: float,
    rss_mb: float,
) -> Level:
    """The figures of one level."""
    turns = [timeline_of(clip, exchange) for clip, exchange in exchanges]
    marks = [turn.relative().marks for turn in turns]
    parts = [parts_of(turn) for turn in turns]
    fps = [frames_per_second(exchange.reply) for _, exchange in exchanges]
    return Level(
        sessions=sessions,
        turns=len(turns),
        refused=refused,
        failures=list(failures),
        voice_to_first_audio_ms=_spread(marks, "first_audio_heard"),
        voice_to_first_frame_ms=_spread(marks, "first_frame_seen"),
        stages=_stages(parts),
        fps=distribution(fps),
        fps_min=min((f for f in fps if f is not None), default=0.0),
        gaps=sum(len(exchange.reply.gaps()) for _, exchange in exchanges),
        false_cutoffs=sum(len(exchange.cut_ins) for _, exchange in exchanges),
        dropped_pictures=dropped_pictures,
        server_cores=round(server_cores, 2),
        client_cores=round(client_cores, 2),
        rss_mb=round(rss_mb, 1),
    )


def _spread(marks: Sequence[dict[str, float]], name: str) -> Distribution:
    return distribution([_ms(turn[name]) if name in turn else None for turn in marks])


def _stages(parts: Sequence[dict[str, StageTime]]) -> dict[str, StageLoad]:
    """By part, in the order of the chain; one that no turn had is left out."""
    stages: dict[str, StageLoad] = {}
    for name in (ENDPOINT, *STAGES, DELIVERY):
        found = [turn[name] for turn in parts if name in turn]
        waits = [time.wait_ms for time in found if time.wait_ms is not None]
        if found:
            stages[name] = StageLoad(
                distribution(waits) if waits else None,
                distribution([time.work_ms for time in found]),
            )
    return stages


def parts_of(turn: Timeline) -> dict[str, StageTime]:
    """What each part took of a turn; a part that left no trace is not in it."""
    marks = turn.marks
    parts: dict[str, StageTime] = {}
    if "endpoint" in marks and "last_speech" in marks:
        parts[ENDPOINT] = StageTime(None, _ms(marks["endpoint"] - marks["last_speech"]))
    for stage in STAGES:
        if (time := _stage_time(turn, stage)) is not None:
            parts[stage] = time
    if "first_audio_heard" in marks and "first_audio_sent" in marks:
        way_s = marks["first_audio_heard"] - marks["first_audio_sent"]
        parts[DELIVERY] = StageTime(None, _ms(way_s))
    return parts


def _stage_time(turn: Timeline, stage: str) -> StageTime | None:
    """Of the requests that led to the stage's first result."""
    made = [s for s in turn.spans if s.detail != JUDGE]
    spans = sorted((s for s in made if s.stage == stage), key=lambda span: span.start_s)
    if not spans:
        return None
    done_s = turn.marks.get(DONE_MARKS[stage]) if stage in DONE_MARKS else spans[0].end_s
    if done_s is None:
        return None
    queues = [s for s in made if s.stage == f"{stage}.queue" and s.start_s <= done_s]
    waited_s = sum(min(s.end_s, done_s) - s.start_s for s in queues)
    took_s = done_s - spans[0].start_s
    return StageTime(_ms(waited_s) if queues else None, _ms(took_s - waited_s))


def report_of(
    levels: Sequence[Level],
    *,
    budget_ms: float,
    seed: int,
    profile: str,
    threads: dict[str, int],
) -> LoadReport:
    """The levels, and what they amount to. There is at least one."""
    broken = next((level for level in levels if not level.is_within(budget_ms)), None)
    name = grown_most(levels[0], levels[-1])
    return LoadReport(
        device=device(),
        versions=versions(),
        threads=threads,
        profile=profile,
        seed=seed,
        budget_ms=budget_ms,
        holds_sessions=max((v.sessions for v in levels if v.is_within(budget_ms)), default=0),
        breaks_at_sessions=broken.sessions if broken else None,
        first_to_break=name,
        verdict=_verdict(levels, broken, name, budget_ms),
        levels=list(levels),
    )


def grown_most(first: Level, last: Level) -> str:
    """The part whose p95 grew most between two levels; of one level with itself, the longest."""

    def growth_ms(name: str) -> float:
        before = first.stages.get(name) if last is not first else None
        return last.stages[name].p95_ms - (before.p95_ms if before else 0.0)

    return max(last.stages, key=growth_ms, default="")


def _verdict(levels: Sequence[Level], broken: Level | None, name: str, budget_ms: float) -> str:
    if broken is not None and broken.failures:
        return f"{broken.sessions} at once: {broken.failures[0]}"
    if broken is None:
        start = f"{levels[-1].sessions} at once stay within {budget_ms:g} ms"
    else:
        p95_ms = broken.voice_to_first_audio_ms.p95
        start = f"{broken.sessions} at once break {budget_ms:g} ms (p95 {p95_ms:.0f} ms)"
    first, last = levels[0].stages.get(name), levels[-1].stages.get(name)
    if last is None:
        return start
    if first is None or len(levels) == 1:
        return f"{start}; the longest part is {name}, p95 {last.p95_ms:.0f} ms"
    return (
        f"{start}; most grew {name}: p95 in its queue {_number(first.wait_ms)} to "
        f"{_number(last.wait_ms)} ms, at work {_number(first.work_ms)} to "
        f"{_number(last.work_ms)} ms"
    )


def _number(values: Distribution | None) -> str:
    return f"{values.p95:.0f}" if values else "–"


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 2)
