"""How many threads each engine should have: alone, and beside those it meets in a turn."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec

from halfsecond import audio
from halfsecond.config import Config
from halfsecond.models.lipsync.driver import LIPSYNC_RATE_HZ
from halfsecond.models.llm.persona import build_messages, opening
from halfsecond.models.tts.voice import SPEECH_RATE_HZ, SpeechChunk
from halfsecond.stages import openers
from halfsecond.stages.asr import AsrRequest
from halfsecond.stages.endpoint import EndpointRequest
from halfsecond.stages.engines import build_stage, open_store, sampling_of
from halfsecond.stages.lipsync import LipSyncRequest
from halfsecond.stages.llm import LlmRequest
from halfsecond.stages.stage import Cancel, Stage
from halfsecond.stages.tts import TtsRequest, TtsStage
from halfsecond.store import Store
from halfsecond_bench.clips import Clip
from halfsecond_bench.statistics import device, distribution, versions
from halfsecond_bench.threads_report import Engine, Row, ThreadsReport, candidates, recommend

STAGES = {"asr": "asr", "llm": "llm", "tts": "tts", "face": "lipsync"}
"""The stage that each section of the config with a `threads` key is for."""
SCENES = ((("asr",), ("endpoint",)), (("llm",), ("tts", "lipsync")))
"""What works at the same time in a turn; the stages of one lane follow one another. In a pause the
words are found while the end is judged; later the answer goes on while a clause is spoken."""
CLAUSE = "The moon rock is in the Apollo room on the first floor."
QUESTION = "When does the museum close?"
FEEDS_S = (0.2, 0.4, 0.4)
"""The stretches of speech that the lips are fed with, as in a turn."""


@dataclass
class Work:
    """A stage that is open, and what it is asked in a turn."""

    stage: Stage[Any, Any]
    requests: Sequence[Any]
    before: Sequence[Any] = ()
    """Not timed: brings it to where a turn finds it."""

    def prepare(self) -> None:
        """Does what comes before."""
        _replies(self.stage, self.before)

    def run(self, clock: Callable[[], float]) -> tuple[float, float]:
        """When the first reply was there, and the last."""
        first_s: float | None = None
        for request in self.requests:
            for _ in self.stage.run(request, Cancel()):
                first_s = clock() if first_s is None else first_s
        last_s = clock()
        return (last_s if first_s is None else first_s), last_s


def _replies(stage: Stage[Any, Any], requests: Sequence[Any]) -> list[Any]:
    return [reply for request in requests for reply in stage.run(request, Cancel())]


class TurnWork:
    """Opens stages of a config with any number of threads, with their work of a turn."""

    def __init__(self, config: Config, store: Store, clip: Clip) -> None:
        self._config = config
        self._store = store
        self._question = audio.load(clip.path).samples
        self._speech: list[SpeechChunk] = []

    def open(self, stage: str, threads: int | None = None) -> Work:
        """threads: instead of the config's."""
        config = self._config if threads is None else with_threads(self._config, stage, threads)
        opened = self._build(stage, config)
        opened.open()
        return Work(opened, *getattr(self, f"_{stage}")())

    def _build(self, stage: str, config: Config) -> Stage[Any, Any]:
        """A voice that remembers nothing: each time it is to speak."""
        if stage != "tts":
            return build_stage(stage, config, self._store)
        directory = self._store.path(config.tts.model)
        open_voice = partial(openers.open_voice, config.tts, directory)
        return TtsStage(open_voice, label="tts", remembered_s=0.0)

    def hear_voice(self, voice: Work) -> None:
        """Takes the speech that lips are asked to move with."""
        self._speech = _replies(voice.stage, voice.requests)

    def _asr(self) -> tuple[list[Any], list[Any]]:
        return [AsrRequest(self._question, self._config.language)], []

    def _endpoint(self) -> tuple[list[Any], list[Any]]:
        return [EndpointRequest(self._question)], []

    def _llm(self) -> tuple[list[Any], list[Any]]:
        persona, sampling = openers.open_persona(self._config), sampling_of(self._config)
        before = LlmRequest(list(opening(persona, [])), sampling, "prefill")
        return [LlmRequest(build_messages(persona, [], QUESTION), sampling)], [before]

    def _tts(self) -> tuple[list[Any], list[Any]]:
        return [TtsRequest(CLAUSE, self._config.tts.speed)], []

    def _lipsync(self) -> tuple[list[Any], list[Any]]:
        chunk = self._speech[0]
        samples = audio.resample(chunk.samples, from_hz=SPEECH_RATE_HZ, to_hz=LIPSYNC_RATE_HZ)
        requests, at = [], 0
        for length_s in FEEDS_S:
            piece = samples[at : at + int(length_s * LIPSYNC_RATE_HZ)]
            phones = [] if at else list(chunk.phones)
            requests.append(LipSyncRequest("bench", "feed", piece, phones))
            at += len(piece)
        return requests, [LipSyncRequest("bench", "begin")]


def with_threads(config: Config, stage: str, threads: int) -> Config:
    """The config with that number of threads for a stage."""
    section = next(name for name, of in STAGES.items() if of == stage)
    changed = msgspec.structs.replace(getattr(config, section), threads=threads)
    return msgspec.structs.replace(config, **{section: changed})


def measure(
    config: Config,
    clip: Clip,
    *,
    profile: str,
    cores: int,
    rounds: int,
    progress: Callable[[], None] = lambda: None,
) -> ThreadsReport:
    """Tries every engine of this machine; nothing else should run meanwhile.

    progress: called once for each of `engines(config)`.
    """
    opener = TurnWork(config, open_store(config), clip)
    works = _open_all(config, opener)
    rows: list[Row] = []
    for engine in engines(config):
        rows += _try(engine, opener, works, counts=_counts(engine, config, cores), rounds=rounds)
        progress()
    for work in works.values():
        work.stage.close()
    return ThreadsReport(
        profile=profile,
        device=device(),
        versions=versions(),
        threads={engine: getattr(config, engine).threads for engine in engines(config)},
        recommended={
            engine: recommend([row for row in rows if row.engine == engine])
            for engine in engines(config)
        },
        rows=rows,
    )


def engines(config: Config) -> list[Engine]:
    """Those of this config that run here."""
    found: list[Engine] = ["asr", "tts", "face"]
    return [*found, "llm"] if config.llm.kind == "local" else found


def _counts(engine: Engine, config: Config, cores: int) -> list[int]:
    """The mesh driver has one thread, whatever the config says."""
    if engine == "face" and config.face.driver == "mesh":
        return [1]
    return candidates(cores)


def _open_all(config: Config, opener: TurnWork) -> dict[str, Work]:
    stages = ["tts", "lipsync", "asr"]
    stages += ["endpoint"] if config.endpoint.mode == "smart" else []
    stages += ["llm"] if config.llm.kind == "local" else []
    works: dict[str, Work] = {}
    for stage in stages:
        works[stage] = opener.open(stage)
        if stage == "tts":
            opener.hear_voice(works[stage])
    return works


@dataclass
class _Times:
    first_ms: list[float] = field(default_factory=list[float])
    whole_ms: list[float] = field(default_factory=list[float])
    together_ms: list[float] = field(default_factory=list[float])
    others_ms: list[float] = field(default_factory=list[float])


def _try(
    engine: Engine, opener: TurnWork, works: dict[str, Work], *, counts: list[int], rounds: int
) -> list[Row]:
    """The counts take turns in every round, so that another load meets all; the first warms up."""
    stage = STAGES[engine]
    tried = {count: opener.open(stage, count) for count in counts}
    times = {count: _Times() for count in counts}
    for number in range(rounds + 1):
        for count, work in tried.items():
            alone = time_lanes([[work]])[0]
            company = [[work], *_company(stage, works)]
            own, *others = time_lanes(company)
            if number:
                found = times[count]
                found.first_ms.append(alone[0])
                found.whole_ms.append(alone[1])
                found.together_ms.append(own[1])
                found.others_ms.append(max((last_ms for _, last_ms in others), default=0.0))
    for work in tried.values():
        work.stage.close()
    return [
        Row(
            engine=engine,
            threads=count,
            first_ms=distribution(found.first_ms),
            whole_ms=distribution(found.whole_ms),
            together_ms=distribution(found.together_ms),
            others_ms=distribution(found.others_ms),
        )
        for count, found in times.items()
    ]


def _company(stage: str, works: dict[str, Work]) -> list[list[Work]]:
    """The lanes of a stage's scene that run beside its own."""
    scene = next(lanes for lanes in SCENES if any(stage in lane for lane in lanes))
    others = [lane for lane in scene if stage not in lane]
    lanes = [[works[name] for name in lane if name in works] for lane in others]
    return [lane for lane in lanes if lane]


def time_lanes(lanes: Sequence[Sequence[Work]]) -> list[tuple[float, float]]:
    """Milliseconds to the first and to the last reply of each lane; all begin at once, a thread
    each."""
    for lane in lanes:
        for work in lane:
            work.prepare()
    begin_s: list[float] = []
    barrier = threading.Barrier(len(lanes), action=lambda: begin_s.append(time.perf_counter()))

    def run(lane: Sequence[Work]) -> tuple[float, float]:
        barrier.wait()
        done = [work.run(time.perf_counter) for work in lane]
        first_s, last_s = done[0][0], done[-1][1]
        return 1000 * (first_s - begin_s[0]), 1000 * (last_s - begin_s[0])

    with ThreadPoolExecutor(len(lanes)) as pool:
        return list(pool.map(run, lanes))
