"""The instrument for sound against lips, on replies whose offset is known."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from halfsecond.recording import Reply, Shown
from halfsecond_bench.av_offset import content_offset, loudness, signed_median_ms

RATE_HZ = 24_000
FPS = 25


class GreyMeter:
    """Takes a picture's brightness for the aperture of a mouth."""

    def measure_all(self, images: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
        return np.array([image.mean() / 255 for image in images], np.float32)


def syllables(duration_s: float = 3.0) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """A voice whose loudness rises and falls as speech does, and that loudness."""
    at_s = np.arange(int(duration_s * RATE_HZ)) / RATE_HZ
    rng = np.random.default_rng(3)
    steps = np.arange(0, duration_s + 0.2, 0.11)
    steps += rng.uniform(-0.03, 0.03, len(steps))
    level = np.interp(at_s, steps, rng.uniform(0, 1, len(steps)) ** 2)
    return (0.4 * level * np.sin(2 * np.pi * 800 * at_s)).astype(np.float32), level


def reply_with(offset_s: float, *, is_deaf: bool = False) -> Reply:
    """Lips that follow the sound `offset_s` later (positive: the sound is ahead).

    Each picture shows the mouth as it is in the middle of the time in which it is seen.
    """
    samples, level = syllables()
    if is_deaf:
        level = np.random.default_rng(9).uniform(0, 1, len(level))
    reply = Reply(1)
    reply.audio.append((0.0, 0.0, samples))
    times = np.arange(len(samples)) / RATE_HZ
    for number in range(int(len(samples) / RATE_HZ * FPS)):
        pts_s = number / FPS
        grey = 255 * float(np.interp(pts_s + 0.5 / FPS - offset_s, times, level**0.3))
        data = cv2.imencode(".png", np.full((8, 8, 3), grey, np.uint8))[1].tobytes()
        reply.pictures.append(
            Shown(pts_s, pts_s, data, is_driven=True, mouth=0.0, format="jpeg", size=(8, 8))
        )
    return reply


@pytest.mark.parametrize("offset_ms", [-120, -40, 0, 25, 90, 160])
def test_a_known_offset_is_found_with_its_sign(offset_ms: int) -> None:
    found = content_offset(reply_with(offset_ms / 1000), cast(Any, GreyMeter()))
    assert found is not None
    assert 1000 * found.offset_s == pytest.approx(offset_ms, abs=10)
    assert found.correlation > 0.7


def test_lips_that_move_without_the_sound_give_no_figure() -> None:
    assert content_offset(reply_with(0.0, is_deaf=True), cast(Any, GreyMeter())) is None


def test_an_answer_of_a_word_gives_no_figure() -> None:
    reply = reply_with(0.0)
    reply.audio[0] = (0.0, 0.0, reply.audio[0][2][: RATE_HZ // 2])
    assert content_offset(reply, cast(Any, GreyMeter())) is None


def test_loudness_follows_open_vowels_and_not_hiss() -> None:
    grid = np.arange(0, 1, 0.005)
    at_s = np.arange(RATE_HZ) / RATE_HZ
    vowel = np.where(at_s < 0.5, np.sin(2 * np.pi * 800 * at_s), 0.0)
    hiss = np.where(at_s > 0.5, np.sin(2 * np.pi * 6000 * at_s), 0.0)
    heard = loudness((0.3 * (vowel + hiss)).astype(np.float32), RATE_HZ, grid)
    assert heard[50] > 3 * heard[150]


def test_the_median_keeps_its_sign() -> None:
    offsets = [
        found
        for ms in (-60, -40, 20)
        if (found := content_offset(reply_with(ms / 1000), cast(Any, GreyMeter())))
    ]
    assert signed_median_ms(offsets) == pytest.approx(-40, abs=10)
    assert signed_median_ms([]) is None
