"""The times of microphone samples, from arrivals that a network has shaken."""

from __future__ import annotations

import numpy as np
import pytest

from halfsecond.stages.mic_clock import MicClock

BLOCK = 320
BLOCK_S = 0.02


def arrive(clock: MicClock, taken_s: float, late_s: float) -> float:
    """A block whose last sample was taken then; how wrong the clock is about its first."""
    return clock.arrived(BLOCK, taken_s + late_s) - (taken_s - BLOCK_S)


def test_a_jitter_of_30_ms_moves_the_clock_by_less_than_2() -> None:
    random = np.random.default_rng(0)
    clock, errors_s = MicClock(), []
    for number in range(1000):
        taken_s = 500 + number * BLOCK_S
        errors_s.append(arrive(clock, taken_s, 0.01 + float(random.uniform(0, 0.03))))
    assert np.ptp(errors_s[50:]) < 0.002
    assert errors_s[-1] == pytest.approx(0.01, abs=0.002)  # the least that the way takes


def test_a_microphone_that_is_slow_by_200_ppm_is_followed() -> None:
    clock, error_s = MicClock(), 0.0
    for number in range(6000):  # two minutes, in which it falls behind by 24 ms
        error_s = arrive(clock, 500 + number * BLOCK_S * (1 + 2e-4), 0.01)
    assert error_s == pytest.approx(0.01, abs=0.002)


def test_samples_that_were_lost_are_known_within_a_second() -> None:
    clock = MicClock()
    for number in range(500):
        arrive(clock, 500 + number * BLOCK_S, 0.01)
    errors_s = [arrive(clock, 510.2 + number * BLOCK_S, 0.01) for number in range(100)]
    assert errors_s[0] == pytest.approx(-0.19, abs=1e-6)  # the count alone knows nothing of it
    assert max(abs(error_s - 0.01) for error_s in errors_s[50:]) < 1e-6


def test_a_burst_after_a_stall_moves_nothing() -> None:
    clock = MicClock()
    for number in range(500):
        arrive(clock, 500 + number * BLOCK_S, 0.01)
    stalled_until_s = 511.0
    for number in range(50):  # a second of audio, all at once
        taken_s = 510 + number * BLOCK_S
        error_s = arrive(clock, taken_s, stalled_until_s - taken_s)
        assert error_s == pytest.approx(0.01, abs=1e-6)
    assert arrive(clock, 511.0, 0.01) == pytest.approx(0.01, abs=1e-6)


def test_a_stream_that_jumps_ahead_is_followed_at_once() -> None:
    clock = MicClock()
    for number in range(500):
        arrive(clock, 500 + number * BLOCK_S, 0.5)
    assert arrive(clock, 510.0, 0.01) == pytest.approx(0.01, abs=1e-6)


def test_a_microphone_that_was_off_for_longer_than_5_s_is_known_at_once() -> None:
    clock = MicClock()
    for number in range(500):
        arrive(clock, 500 + number * BLOCK_S, 0.01)
    assert arrive(clock, 516.0, 0.01) == pytest.approx(0.01, abs=1e-6)


def test_days_of_blocks_take_no_more_memory() -> None:
    clock = MicClock()
    for number in range(20_000):
        arrive(clock, 500 + number * BLOCK_S, 0.01)
    assert len(clock._buckets) <= 20
