"""Answers played back into the microphone, through the real detector: it must not hear itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from halfsecond.config import Config, TtsConfig
from halfsecond.models.asr.whisper import Whisper
from halfsecond.models.echo.aec3 import is_installed, open_aec3
from halfsecond.models.echo.canceller import NoCanceller
from halfsecond.stages import openers
from halfsecond_bench.clips import load_clips
from halfsecond_bench.echo.report import DoubleTalkRow
from halfsecond_bench.echo.room import ROOMS
from halfsecond_bench.echo.trials import LINKS, Ears, asked_alone, double_talk, echo_alone, in_turn
from halfsecond_bench.echo.visit import Link, Visit

pytestmark = [
    pytest.mark.models,
    pytest.mark.skipif(not is_installed(), reason="pip install 'halfsecond[aec]'"),
]

SENTENCES = (
    "The museum opens at nine in the morning, every day except Monday.",
    "The moon rock is in the Apollo room on the first floor, and visitors may touch it.",
    "The planetarium show starts at two o'clock and lasts thirty minutes.",
)
SHAKEN = LINKS[-1]
"""Jitter, drift, and a playhead that is told."""


@pytest.fixture(scope="module")
def answers(model_dir: Callable[[str], Path]) -> list[NDArray[np.float32]]:
    voice = openers.open_voice(TtsConfig(), model_dir("hibari"))
    return [np.concatenate([c.samples for c in voice.speak(text)]) for text in SENTENCES]


@pytest.fixture(scope="module")
def ears(model_dir: Callable[[str], Path]) -> Ears:
    return Ears(
        Config(),
        model_dir("silero-vad") / "silero_vad.onnx",
        Whisper(model_dir("whisper-tiny.en")),
    )


@pytest.mark.parametrize("link", [LINKS[0], LINKS[3], SHAKEN], ids=lambda link: str(link.name))
def test_an_echo_as_loud_as_a_visitor_is_no_visitor_from_the_first_answer_on(
    ears: Ears, answers: list[NDArray[np.float32]], link: Link
) -> None:
    row = echo_alone(
        ears, answers, {"nothing": NoCanceller, "aec3": open_aec3},
        link=link, echo_db=0.0, sessions=1,
    )  # fmt: skip
    assert row.false_starts["aec3"] == 0
    assert row.false_starts["nothing"] >= 3  # what the canceller is there for


def test_with_a_reference_that_is_late_the_echo_is_taken_for_a_visitor(
    ears: Ears, answers: list[NDArray[np.float32]]
) -> None:
    """Seeds the fault that the clocks guard against."""
    scene = in_turn(answers, 3, echo_db=0.0, seed=0)
    visit = Visit(scene, ROOMS[0], LINKS[0], seed=0, reference_error_s=0.3)
    assert ears.hear(visit, open_aec3()).starts


def asked_over_an_answer(
    ears: Ears, answers: list[NDArray[np.float32]], clips_dir: Path, echo_db: float | None
) -> DoubleTalkRow:
    clips = [c for c in load_clips(clips_dir) if c.file in ("planetarium.flac", "woman.flac")]
    return double_talk(
        ears, answers, [asked_alone(ears, clip) for clip in clips], open_aec3,
        link=SHAKEN, echo_db=echo_db, answers_before=2, stops=True,
    )  # fmt: skip


def test_where_no_echo_is_the_canceller_costs_a_visitor_no_word(
    ears: Ears, answers: list[NDArray[np.float32]], clips_dir: Path
) -> None:
    row = asked_over_an_answer(ears, answers, clips_dir, None)
    assert row.missed == []
    assert row.late_ms.max < 150
    assert row.wer <= row.wer_alone + 0.14  # two words of 15


@pytest.mark.parametrize("echo_db", [-12.0, -6.0, 0.0])
def test_a_visitor_who_speaks_over_an_answer_is_heard_through_its_echo(
    ears: Ears, answers: list[NDArray[np.float32]], clips_dir: Path, echo_db: float
) -> None:
    """Later than in a quiet room, by how much `bench echo` says: it differs by voice and word."""
    row = asked_over_an_answer(ears, answers, clips_dir, echo_db)
    assert row.missed == []
    assert row.late_ms.max < 1500
