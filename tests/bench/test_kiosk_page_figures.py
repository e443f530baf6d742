"""From the blocks that a page heard to what its visitor waited."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from halfsecond_bench.clips import Clip, load_clips, questions
from halfsecond_bench.kiosk_page import last_speech_s, page_turns, script_of, script_start_s

STARTED_S = 5000.0


@pytest.fixture(scope="module")
def clips(clips_dir: Path) -> list[Clip]:
    return questions(load_clips(clips_dir))[:2]


def heard_by_the_page(script: NDArray[np.float32], *, lag_blocks: int) -> NDArray[np.float64]:
    """Blocks of 20 ms, quieter than they were said, some of them late."""
    blocks = script[: len(script) // 320 * 320].reshape(-1, 320)
    rms = np.concatenate([np.zeros(lag_blocks), 0.3 * np.sqrt((blocks**2).mean(axis=1)) + 1e-4])
    came = STARTED_S + 0.02 * np.arange(1, len(rms) + 1)
    came[::7] += 0.015
    return np.stack([came, rms], axis=1).astype(np.float64)


def test_the_script_is_found_in_what_the_page_heard(clips: list[Clip]) -> None:
    script = script_of(clips)
    for lag_blocks in (0, 37):
        start_s = script_start_s(script, heard_by_the_page(script, lag_blocks=lag_blocks))
        assert start_s == pytest.approx(STARTED_S + 0.02 * lag_blocks, abs=0.011)


def test_each_question_gets_the_answer_that_followed_it(clips: list[Clip]) -> None:
    script = script_of(clips)
    heard = heard_by_the_page(script, lag_blocks=10)
    ends_s = [STARTED_S + 0.2 + at_s for at_s in last_speech_s(clips)]
    answered = {
        "turn": 4,
        "stamps": {"page_first_audio": ends_s[1] + 0.35, "page_first_frame": ends_s[1] + 0.4},
        "values": {"av_offset_ms": -12.0, "underruns": 0},
    }
    first, second = page_turns(clips, script=script, heard=heard, reported=[answered])
    assert first.first_audio_ms is None
    assert second.first_audio_ms == pytest.approx(350, abs=12)
    assert second.first_frame_ms == pytest.approx(400, abs=12)
    assert second.av_offset_ms == -12.0
