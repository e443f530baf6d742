"""The labels of the last speech sample: the rule, and that the committed ones follow it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from halfsecond.audio import RATE_HZ, load
from halfsecond.errors import AudioError
from halfsecond_bench.clips import load_clips
from halfsecond_bench.label import last_speech_sample

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def test_the_label_is_where_the_tone_ends() -> None:
    rng = np.random.default_rng(0)
    samples = rng.normal(0, 1e-3, 2 * RATE_HZ).astype(np.float32)
    samples[4000:20_000] += 0.1 * np.sin(np.arange(16_000) * 0.3).astype(np.float32)
    assert last_speech_sample(samples) == 20_000


def test_what_is_less_than_15_db_above_the_floor_is_no_speech() -> None:
    rng = np.random.default_rng(0)
    samples = rng.normal(0, 1e-3, RATE_HZ).astype(np.float32)
    samples[4000:8000] *= 3
    with pytest.raises(AudioError, match="label the clean recording"):
        last_speech_sample(samples)


def test_digital_silence_around_speech_does_not_make_a_whisper_of_noise_speech() -> None:
    samples = np.zeros(RATE_HZ, np.float32)
    samples[1600:4800] = 0.1
    samples[8000] = 1e-3
    assert last_speech_sample(samples) == 4800


def test_the_committed_labels_follow_the_rule(clips_dir: Path) -> None:
    with (clips_dir / "clips.toml").open("rb") as file:
        rows = tomllib.load(file)["clip"]
    followed = 0
    for row in rows:
        if "last_speech_sample" in row and "label_rule" not in row:
            assert (
                last_speech_sample(load(clips_dir / row["file"]).samples)
                == (row["last_speech_sample"])
            ), row["file"]
            followed += 1
    assert followed == 24


def test_every_clip_is_there_as_16_khz_mono_with_origin_and_licence(clips_dir: Path) -> None:
    clips = load_clips(clips_dir)
    assert {clip.file for clip in clips} == {path.name for path in clips_dir.glob("*.flac")}
    for clip in clips:
        recording = load(clip.path)
        assert (recording.source_rate_hz, recording.source_channels) == (16_000, 1), clip.file
        assert clip.origin, clip.file
        assert clip.licence, clip.file
    assert sum(path.stat().st_size for path in clips_dir.glob("*.flac")) < 3_000_000


def test_each_question_about_the_hall_can_be_answered_from_the_facts(clips_dir: Path) -> None:
    import halfsecond.assets

    facts = Path(halfsecond.assets.__file__).with_name("facts.txt").read_text(encoding="utf-8")
    for clip in load_clips(clips_dir):
        if clip.answer_contains and clip.file != "unknown.flac":
            assert clip.is_answered_by(facts), clip.file
