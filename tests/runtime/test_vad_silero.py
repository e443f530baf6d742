"""Silero VAD on real clips: the state it carries, and the ends that it finds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from halfsecond.audio import RATE_HZ, load
from halfsecond.errors import AudioError, ModelCorruptError, ModelMissingError
from halfsecond.models.vad.segmenter import Segmenter, SpeechEnded, SpeechEvent
from halfsecond.models.vad.silero import SileroVad
from halfsecond_bench.clips import Clip, load_clips

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def vad(model_dir: Callable[[str], Path]) -> SileroVad:
    return SileroVad(model_dir("silero-vad") / "silero_vad.onnx")


@pytest.fixture(scope="module")
def clips(clips_dir: Path) -> list[Clip]:
    return load_clips(clips_dir)


def then_quiet(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    room = np.random.default_rng(0).normal(0, 5e-4, RATE_HZ).astype(np.float32)
    return np.concatenate([samples, room])


def segments(vad: SileroVad, samples: NDArray[np.float32]) -> list[SpeechEvent]:
    vad.reset()
    segmenter = Segmenter()
    probabilities = vad.push(then_quiet(samples))
    return [event for probability in probabilities for event in segmenter.push(probability)]


def test_blocks_of_any_size_give_what_one_block_gives(vad: SileroVad, clips_dir: Path) -> None:
    samples = load(clips_dir / "close.flac").samples
    vad.reset()
    whole = vad.push(samples)
    vad.reset()
    blocks = [vad.push(samples[start : start + 333]) for start in range(0, len(samples), 333)]
    np.testing.assert_allclose([value for block in blocks for value in block], whole, atol=1e-6)
    assert len(whole) == len(samples) // 512
    assert max(whole) > 0.99


def test_without_its_state_the_detector_says_something_else(
    vad: SileroVad, clips_dir: Path
) -> None:
    """Seeds the fault that the test above guards against."""
    samples = load(clips_dir / "close.flac").samples
    vad.reset()
    whole = vad.push(samples)
    forgetful = []
    for start in range(0, len(samples) - 511, 512):
        vad.reset()
        forgetful += vad.push(samples[start : start + 512])
    assert np.abs(np.subtract(forgetful, whole)).max() > 0.3


def test_the_end_of_synthetic_questions_is_found_within_50_ms_of_the_label(
    vad: SileroVad, clips: list[Clip]
) -> None:
    labelled = [clip for clip in clips if clip.kind == "synthetic"]
    assert len(labelled) == 16
    for clip in labelled:
        ends = [e for e in segments(vad, load(clip.path).samples) if isinstance(e, SpeechEnded)]
        assert ends[-1].last_sample / RATE_HZ == pytest.approx(clip.last_speech_s, abs=0.05), clip


def test_the_end_of_real_clips_is_found_near_the_label(vad: SileroVad, clips: list[Clip]) -> None:
    """The excerpts were cut close, so their noise floor, and with it the rule, is a rough one."""
    labelled = [c for c in clips if c.kind == "real" and c.last_speech_sample is not None]
    assert len(labelled) == 10
    errors_s = []
    for clip in labelled:
        ends = [e for e in segments(vad, load(clip.path).samples) if isinstance(e, SpeechEnded)]
        errors_s.append(abs(ends[-1].last_sample / RATE_HZ - clip.last_speech_s))
    assert np.median(errors_s) < 0.045
    assert max(errors_s) < 0.11


@pytest.mark.parametrize("name", ["silence.flac", "noise.flac", "cough.flac"])
def test_silence_noise_and_a_cough_are_no_speech(
    vad: SileroVad, clips_dir: Path, name: str
) -> None:
    assert segments(vad, load(clips_dir / name).samples) == []


def test_a_hesitation_is_heard_as_two_utterances_with_a_gap(
    vad: SileroVad, clips_dir: Path
) -> None:
    told = segments(vad, load(clips_dir / "hesitation.flac").samples)
    assert [type(event).__name__ for event in told if isinstance(event, SpeechEnded)] == [
        "SpeechEnded",
        "SpeechEnded",
    ]


def test_two_channels_are_refused(vad: SileroVad) -> None:
    with pytest.raises(AudioError, match="one channel"):
        vad.push(np.zeros((2, 512), np.float32))


def test_a_missing_or_truncated_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError, match="models fetch"):
        SileroVad(tmp_path / "silero_vad.onnx")
    (tmp_path / "cut.onnx").write_bytes(b"\x08\x07 not a model")
    with pytest.raises(ModelCorruptError, match="models verify"):
        SileroVad(tmp_path / "cut.onnx")
