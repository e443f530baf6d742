"""The reference: what the loudspeaker plays at which moment, by a clock that is told."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from halfsecond.stages.played_audio import LEAD_S, PlayedAudio

START_S = 1000.0


class Clock:
    now_s = START_S

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def played(clock: Clock) -> PlayedAudio:
    return PlayedAudio(clock)


def ramp(from_s: float, to_s: float) -> NDArray[np.float32]:
    """24 kHz whose value is its place in the answer, in units of 100 s."""
    return (np.arange(round(from_s * 24_000), round(to_s * 24_000)) / 24_000 / 100).astype(
        np.float32
    )


def places(played: PlayedAudio, from_s: float, length_s: float) -> NDArray[np.float64]:
    """Which places of the answer were audible, in seconds; 0 in silence."""
    samples = played.read(from_s - LEAD_S, round(length_s * 16_000))
    return 100 * samples.astype(np.float64)


def test_an_answer_is_heard_from_the_moment_its_first_packet_left(played: PlayedAudio) -> None:
    for start_s in np.arange(0, 2, 0.1):
        played.add(1, ramp(start_s, start_s + 0.1))
    before = places(played, START_S - 0.1, 0.1)
    assert not before.any()
    heard = places(played, START_S, 1.9)
    np.testing.assert_allclose(heard, np.arange(len(heard)) / 16_000, atol=1e-3)


def test_packets_are_joined_without_a_seam(played: PlayedAudio) -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(24_000) / 24_000).astype(np.float32)
    for start in range(0, 24_000, 2401):  # which no multiple of three is
        played.add(1, tone[start : start + 2401])
    heard = played.read(START_S - LEAD_S, 15_000)
    wanted = np.sin(2 * np.pi * 440 * np.arange(15_000) / 16_000)
    assert np.abs(heard - wanted)[100:].max() < 0.01


def test_a_pause_is_silence_and_the_answer_goes_on_where_it_stood(
    played: PlayedAudio, clock: Clock
) -> None:
    played.add(1, ramp(0, 3))
    clock.now_s += 1.0
    played.pause()
    clock.now_s += 0.5
    played.resume()
    heard = places(played, START_S, 2.5)
    assert heard[15_999] == pytest.approx(1.0, abs=1e-3)
    assert not heard[16_000:24_000].any()
    assert heard[24_001] == pytest.approx(1.0, abs=1e-3)
    assert heard[-1] == pytest.approx(2.0, abs=1e-3)


def test_nothing_is_heard_after_a_stop_nor_after_a_resume_that_follows_it(
    played: PlayedAudio, clock: Clock
) -> None:
    played.add(1, ramp(0, 3))
    clock.now_s += 1.0
    played.stop()
    played.resume()
    clock.now_s += 1.0
    assert not places(played, START_S + 1.0, 1.0).any()


def test_the_next_answer_ends_the_one_before(played: PlayedAudio, clock: Clock) -> None:
    played.add(1, ramp(0, 3))
    clock.now_s += 1.0
    played.add(2, ramp(7, 8))
    heard = places(played, START_S, 1.5)
    assert heard[15_990] == pytest.approx(1.0, abs=2e-3)
    assert heard[16_100] == pytest.approx(7.0, abs=0.02)


def test_a_packet_that_comes_after_its_time_is_heard_when_it_comes(
    played: PlayedAudio, clock: Clock
) -> None:
    played.add(1, ramp(0, 1))
    clock.now_s += 1.5
    played.add(1, ramp(1, 2))
    heard = places(played, START_S, 2.4)
    assert not heard[16_100:23_900].any()
    assert heard[24_100] == pytest.approx(1.0, abs=0.02)
    assert heard[-1] == pytest.approx(1.9, abs=0.02)


def test_a_report_within_what_a_client_buffers_moves_nothing(
    played: PlayedAudio, clock: Clock
) -> None:
    played.add(1, ramp(0, 3))
    first = places(played, START_S, 1.0)
    for late_s in (0.0, 0.05, 0.15, 0.03):
        clock.now_s = START_S + 1.0
        played.report(1, 1.0 - late_s)
    heard = np.concatenate([first, places(played, START_S + 1.0, 1.0)])
    assert np.abs(np.diff(heard) - 1 / 16_000).max() < 1e-3


def test_a_client_that_plays_half_a_second_later_is_followed(
    played: PlayedAudio, clock: Clock
) -> None:
    played.add(1, ramp(0, 3))
    clock.now_s += 1.0
    played.report(1, 0.5)
    # The reference is ahead of it by 60 ms, never behind.
    assert places(played, START_S + 1.0, 0.1)[0] == pytest.approx(0.56, abs=1e-3)


def test_a_client_that_is_ahead_of_the_estimate_is_followed(
    played: PlayedAudio, clock: Clock
) -> None:
    played.add(1, ramp(0, 3))
    clock.now_s += 1.0
    played.report(1, 1.1)
    assert places(played, START_S + 1.0, 0.1)[0] == pytest.approx(1.16, abs=1e-3)


def test_reports_of_another_turn_of_a_pause_and_of_the_end_move_nothing(
    played: PlayedAudio, clock: Clock
) -> None:
    played.add(1, ramp(0, 3))
    clock.now_s += 1.0
    played.report(2, 0.1)
    played.report(1, float("nan"))
    played.report(1, 3.0)
    assert places(played, START_S + 1.0, 0.1)[0] == pytest.approx(1.0, abs=1e-3)
    played.pause()
    clock.now_s += 1.0
    played.report(1, 1.0)
    played.resume()
    assert places(played, clock.now_s, 0.1)[0] == pytest.approx(1.0, abs=1e-3)


def test_a_clock_that_trembles_makes_no_jump(played: PlayedAudio) -> None:
    played.add(1, ramp(0, 3))
    random = np.random.default_rng(0)
    heard = np.concatenate(
        [
            places(played, START_S + number * 0.02 + float(random.uniform(-0.01, 0.01)), 0.02)
            for number in range(1, 100)
        ]
    )
    assert np.abs(np.diff(heard) - 1 / 16_000).max() < 1e-3


def test_a_clock_that_jumps_is_followed(played: PlayedAudio) -> None:
    played.add(1, ramp(0, 3))
    places(played, START_S, 1.0)
    assert places(played, START_S + 1.2, 0.1)[0] == pytest.approx(1.2, abs=1e-3)


def test_small_errors_are_made_good_in_the_next_silence(played: PlayedAudio, clock: Clock) -> None:
    played.add(1, ramp(0, 1))
    places(played, START_S, 0.5)
    places(played, START_S + 0.52, 0.5)  # 20 ms are not worth a jump
    clock.now_s += 3.0
    places(played, START_S + 2.0, 0.5)
    played.add(2, ramp(5, 6))
    assert places(played, clock.now_s, 0.1)[10] == pytest.approx(5.0, abs=0.01)


def test_hours_of_answers_keep_a_few_seconds_in_memory(played: PlayedAudio, clock: Clock) -> None:
    for turn in range(200):
        for _ in range(5):
            played.add(turn, ramp(0, 1))
        clock.now_s += 10.0
    kept = sum(len(piece) for a in played._answers for _, piece in a._pieces)
    assert kept < 16_000 * 20
    clock.now_s += 1.0
    for _ in range(600):  # an answer of ten minutes, one second at a time
        played.add(999, ramp(0, 1))
        clock.now_s += 1.0
    kept = sum(len(piece) for a in played._answers for _, piece in a._pieces)
    assert kept < 16_000 * 20
