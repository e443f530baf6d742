"""Falls of loudness, in made sounds and at the labelled ends of recordings."""

from __future__ import annotations

import statistics

import numpy as np
import pytest
from numpy.typing import NDArray

from halfsecond import audio
from halfsecond.models.vad.loudness import Loudness, SoundFell, SoundRose
from halfsecond_bench.clips import default_folder, load_clips

RATE_HZ = 16_000


def tone(seconds: float, *, gain: float = 0.3) -> NDArray[np.float32]:
    at_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (gain * np.sin(2 * np.pi * 200 * at_s)).astype(np.float32)


def room(seconds: float) -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(0, 0.001, round(seconds * RATE_HZ)).astype(np.float32)


def events(*parts: NDArray[np.float32], block: int = 320) -> list[SoundFell | SoundRose]:
    """Whatever a stream of these parts brings, pushed in blocks."""
    loudness, stream = Loudness(), np.concatenate(parts)
    return [
        event
        for start in range(0, len(stream), block)
        for event in loudness.push(stream[start : start + block])
    ]


def test_the_end_of_a_sound_is_seen_and_where_it_was() -> None:
    fell = [e for e in events(room(0.3), tone(0.5), room(0.3)) if isinstance(e, SoundFell)]
    assert len(fell) == 1
    assert fell[0].last_sample == pytest.approx(0.8 * RATE_HZ, abs=160)


def test_a_closure_of_a_consonant_is_no_fall() -> None:
    fell = [e for e in events(tone(0.5), room(0.05), tone(0.5)) if isinstance(e, SoundFell)]
    assert fell == []


def test_sound_that_goes_on_after_a_fall_rises() -> None:
    found = events(tone(0.5), room(0.1), tone(0.3), room(0.2))
    assert [type(event) for event in found] == [SoundRose, SoundFell, SoundRose, SoundFell]
    rose = found[2]
    assert isinstance(rose, SoundRose)
    assert rose.at_sample == pytest.approx(0.6 * RATE_HZ, abs=160)


def test_a_voice_that_becomes_quiet_slowly_does_not_fall() -> None:
    parts = [tone(0.1, gain=0.3 * 0.85**n) for n in range(25)]  # 14 dB a second
    assert len([e for e in events(*parts) if isinstance(e, SoundFell)]) <= 1
    parts = [tone(0.1, gain=0.3 * 0.93**n) for n in range(25)]  # 6 dB a second
    assert [type(event) for event in events(*parts)] == [SoundRose]


def test_the_blocks_in_which_a_sound_comes_do_not_matter() -> None:
    parts = (room(0.2), tone(0.4), room(0.2))
    assert events(*parts, block=77) == events(*parts, block=16_000)


def test_most_recordings_are_seen_to_end_within_a_tenth_of_a_second() -> None:
    clips = [c for c in load_clips(default_folder()) if c.last_speech_sample]
    late_s: list[float] = []
    for clip in clips:
        last = clip.last_speech_sample
        assert last is not None
        ends = [
            e.last_sample
            for e in events(audio.load(clip.path).samples)
            if isinstance(e, SoundFell) and abs(e.last_sample - last) < 0.15 * RATE_HZ
        ]
        if ends:
            late_s.append((ends[-1] - last) / RATE_HZ)
    assert len(late_s) >= 0.8 * len(clips)
    assert abs(statistics.median(late_s)) < 0.03
