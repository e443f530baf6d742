"""Smart Turn on whole and broken-off questions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from halfsecond.audio import RATE_HZ, load
from halfsecond.errors import AudioError, UnsupportedModelError
from halfsecond.models.turn.smart_turn import SmartTurn
from halfsecond_bench.clips import load_clips

pytestmark = pytest.mark.models
ModelDir = Callable[[str], Path]
PAUSE = RATE_HZ // 5
BROKEN_OFF = 24_000
"""Where the first part of hesitation.flac ends, in samples."""


@pytest.fixture(scope="module")
def judge(model_dir: ModelDir) -> SmartTurn:
    return SmartTurn(next(iter(sorted(model_dir("smart-turn").glob("*.onnx")))))


def test_whole_questions_are_complete(judge: SmartTurn, clips_dir: Path) -> None:
    # A hint, not a verdict: eSpeak's flat tune gets 0.05, and the two halves of hesitation.flac,
    # spoken apart, 0.26.
    spoken = [
        clip
        for clip in load_clips(clips_dir)
        if clip.kind == "synthetic" and clip.file not in {"parking.flac", "hesitation.flac"}
    ]
    for clip in spoken:
        samples = load(clip.path).samples
        until = round(clip.last_speech_s * RATE_HZ) + PAUSE
        assert judge.probability(samples[:until]) > 0.6, clip.file


def test_a_question_that_is_broken_off_is_not_complete(judge: SmartTurn, clips_dir: Path) -> None:
    """ "Can you tell me where the ..." is followed by a pause of 0.7 s."""
    samples = load(clips_dir / "hesitation.flac").samples
    assert judge.probability(samples[: BROKEN_OFF + PAUSE]) < 0.2


def test_only_the_newest_8_seconds_count(judge: SmartTurn, clips_dir: Path) -> None:
    samples = load(clips_dir / "jfk.flac").samples
    assert judge.probability(samples) == judge.probability(samples[-8 * RATE_HZ :])


def test_zeros_behind_would_make_anything_complete(judge: SmartTurn, clips_dir: Path) -> None:
    """Why the audio is put at the end of the window."""
    broken_off = load(clips_dir / "hesitation.flac").samples[:BROKEN_OFF]
    behind = np.concatenate([broken_off, np.zeros(6 * RATE_HZ, np.float32)])
    assert judge.probability(behind) > 0.9


def test_no_samples_and_two_channels_are_refused(judge: SmartTurn) -> None:
    for samples in (np.zeros(0, np.float32), np.zeros((2, 100), np.float32)):
        with pytest.raises(AudioError, match="one channel with samples"):
            judge.probability(samples)


def test_another_model_is_refused(model_dir: ModelDir) -> None:
    with pytest.raises(UnsupportedModelError, match="Smart Turn v3"):
        SmartTurn(model_dir("silero-vad") / "silero_vad.onnx")
