"""`bench echo`: the whole table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from halfsecond.assets import asset
from halfsecond.config import Config, TtsConfig
from halfsecond.models.asr.whisper import Whisper
from halfsecond.models.echo.aec3 import Aec3, Aec3Canceller
from halfsecond.models.echo.canceller import NoCanceller
from halfsecond.models.echo.registry import chosen, open_canceller
from halfsecond.models.llm.facts import FactsPage
from halfsecond.stages import openers
from halfsecond.stages.engines import open_store
from halfsecond.store import Store
from halfsecond_bench.clips import Clip
from halfsecond_bench.echo import cost
from halfsecond_bench.echo.report import DoubleTalkRow, EchoReport, EchoRow
from halfsecond_bench.echo.trials import (
    ECHO_DB,
    LINKS,
    TALK_DB,
    Answers,
    Ears,
    OpenCanceller,
    asked_alone,
    double_talk,
    echo_alone,
)
from halfsecond_bench.echo.unguarded import Unguarded
from halfsecond_bench.statistics import device, versions

TALK_LINK = LINKS[-1]
"""The one that is most like a network."""
TALKS = ((0, True), (2, True), (2, False))
"""(answers before, whether the answer stops)."""


def measure(
    config: Config,
    clips: Sequence[Clip],
    *,
    profile: str,
    sessions: int,
    progress: Callable[[], None] = lambda: None,
) -> EchoReport:
    """Every link and level; `progress` is called `steps()` times.

    Raises:
        ConfigError: `[echo] kind` names a canceller that is not installed.
    """
    kind = chosen(config.echo.kind)
    store = open_store(config)
    answers = spoken_facts(config.tts, store)
    ears = Ears(
        config,
        store.path(config.vad.model) / "silero_vad.onnx",
        Whisper(store.path(config.asr.model), threads=config.asr.threads),
    )
    cancellers: dict[str, OpenCanceller] = {"nothing": NoCanceller}
    if kind == "aec3":
        cancellers["aec3 alone"] = lambda: Aec3Canceller(Aec3(), Unguarded())
    cancellers[kind] = lambda: open_canceller(kind)
    alone: list[EchoRow] = []
    for link in LINKS:
        for echo_db in ECHO_DB:
            alone.append(
                echo_alone(ears, answers, cancellers, link=link, echo_db=echo_db, sessions=sessions)
            )
            progress()
    questions = [asked_alone(ears, clip) for clip in clips]
    talk: list[DoubleTalkRow] = []
    for answers_before, stops in TALKS:
        for echo_level_db in TALK_DB:
            talk.append(
                double_talk(
                    ears, answers, questions, cancellers[kind], link=TALK_LINK,
                    echo_db=echo_level_db, answers_before=answers_before, stops=stops,
                )
            )  # fmt: skip
            progress()
    return EchoReport(
        profile=profile,
        device=device(),
        versions=versions(),
        canceller=kind,
        echo_alone=alone,
        double_talk=talk,
        cost=cost.measure(kind),
    )


def steps() -> int:
    """How many rows there are."""
    return len(LINKS) * len(ECHO_DB) + len(TALKS) * len(TALK_DB)


def spoken_facts(config: TtsConfig, store: Store) -> Answers:
    """Each of the demonstration's facts, as the face says it."""
    voice = openers.open_voice(config, store.path(config.model))
    facts = FactsPage.parse(asset("facts.txt").read_text(encoding="utf-8"))
    spoken = [
        np.concatenate([chunk.samples for chunk in voice.speak(fact.text)]) for fact in facts.facts
    ]
    voice.close()
    return spoken
