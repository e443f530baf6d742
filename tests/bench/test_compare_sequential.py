"""The sequential recipe: one whole stage after another, and all frames before any is seen."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes.echo_network import write_echo
from halfsecond.errors import AudioError
from halfsecond_bench.clips import Clip
from halfsecond_bench.compare.sequential import (
    PAUSE_THRESHOLD_S,
    SequentialRecipe,
    WholeFilm,
    sound_windows,
)
from halfsecond_bench.compare.sides import SequentialSide, until_endpoint

SECOND = np.full(16_000, 0.1, np.float32)


class Clock:
    """A clock that stands still but when a stage works."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def recipe(clock: Clock, log: list[str]) -> SequentialRecipe[int]:
    def work(name: str, seconds: float, result: Any) -> Any:
        log.append(name)
        clock.now_s += seconds
        return result

    return SequentialRecipe(
        hear=lambda samples: work(f"hear {len(samples)}", 0.4, "when do you close"),
        think=lambda words: work(f"think {words}", 0.3, "At five."),
        speak=lambda text: work(f"speak {text}", 0.02, np.zeros(48_000, np.float32)),
        draw=lambda samples: work(f"draw {len(samples)}", 1.5, list(range(50))),
        now=clock,
    )


def test_each_stage_gets_all_of_what_the_one_before_made() -> None:
    log: list[str] = []
    played = recipe(Clock(), log).answer(SECOND)
    assert log == ["hear 16000", "think when do you close", "speak At five.", "draw 32000"]
    assert (played.heard, played.answer) == ("when do you close", "At five.")
    assert (played.speech_s, played.frames) == (2.0, 50)


def test_nothing_is_played_before_the_last_frame_and_the_stages_add_up() -> None:
    played = recipe(Clock(), []).answer(SECOND)
    assert played.stages_ms == {
        "asr": pytest.approx(400), "llm": pytest.approx(300), "tts": pytest.approx(20),
        "lipsync": pytest.approx(1500),
    }  # fmt: skip
    assert played.work_ms == pytest.approx(2220)


CLIP = Clip(
    file="close.flac", transcript="", language="en", kind="real", origin="", licence="",
    last_speech_sample=8000, folder=Path(__file__).parents[1] / "clips",
)  # fmt: skip


async def test_the_side_adds_the_wait_of_an_ideal_end_of_turn() -> None:
    log: list[str] = []
    side = SequentialSide(recipe(Clock(), log))
    turn = await side.turn(CLIP)
    assert log[0] == f"hear {8000 + PAUSE_THRESHOLD_S * 16_000:.0f}"
    assert turn.first_frame_ms == turn.first_audio_ms == pytest.approx(800 + 2220)
    assert turn.wait_ms == 800
    assert turn.work_ms == pytest.approx(2220)


def test_the_recipe_hears_the_recording_up_to_its_end_of_turn() -> None:
    short, long = SECOND[:10_000], np.tile(SECOND, 3)
    heard = until_endpoint(short, CLIP)
    assert len(heard) == len(until_endpoint(long, CLIP)) == 8000 + 12_800
    assert np.all(heard[:10_000] == 0.1)
    assert np.all(heard[10_000:] == 0)


def published_starts(steps: int, fps: int) -> list[int]:
    """The chunks of Wav2Lip's `inference.py`: `mel_idx_multiplier = 80 / fps`, then its loop."""
    starts: list[int] = []
    for number in count():
        start = int(number * 80.0 / fps)
        if start + 16 > steps:
            return [*starts, steps - 16]
        starts.append(start)
    raise AssertionError


@pytest.mark.parametrize("samples", [3300, 16_000, 50_123])
@pytest.mark.parametrize("fps", [25, 30])
def test_the_network_hears_what_the_published_script_gives_it(samples: int, fps: int) -> None:
    from halfsecond.models.lipsync.mel import mel_spectrogram

    sound = np.random.default_rng(0).normal(0, 0.1, samples).astype(np.float32)
    steps = mel_spectrogram(sound)
    windows = sound_windows(sound, fps=fps)
    starts = published_starts(len(steps), fps)
    assert windows.shape == (len(starts), 1, 80, 16)
    for window, start in zip(windows, starts, strict=True):
        assert np.array_equal(window[0], steps[start : start + 16].T)


def test_less_sound_than_one_frame_hears_is_an_error_that_says_so() -> None:
    with pytest.raises(AudioError, match="less than the 200 ms"):
        sound_windows(np.zeros(1000, np.float32), fps=25)


def test_every_frame_is_pasted_into_the_portrait_and_nothing_beside_the_face(
    tmp_path: Path,
) -> None:
    write_echo(tmp_path / "echo.onnx")
    picture: NDArray[np.uint8] = np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)
    picture[8:56, 8:56] = 200
    compositor = SimpleNamespace(portrait=SimpleNamespace(image=picture), face_box=(8, 8, 56, 56))
    film = WholeFilm(tmp_path / "echo.onnx", cast(Any, compositor), threads=1, fps=25)
    frames = film.draw(np.tile(SECOND, 2))
    assert len(frames) == len(sound_windows(np.tile(SECOND, 2), fps=25)) > 40
    for frame in frames:
        assert np.array_equal(frame[:8], picture[:8])
        assert np.array_equal(frame[8:, 56:], picture[8:, 56:])
        assert np.abs(frame[8:56, 8:56].astype(int) - 200).max() <= 1
