"""Whether a microphone hears the loudspeaker, how late and how loud: on noise."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from halfsecond.models.echo.path import EchoPath

RATE_HZ = 16_000


def noise(length_s: float, *, seed: int, level: float = 0.1) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    return random.normal(0, level, int(length_s * RATE_HZ)).astype(np.float32)


def late(samples: NDArray[np.float32], delay_s: float, gain: float) -> NDArray[np.float32]:
    silence = np.zeros(int(delay_s * RATE_HZ), np.float32)
    delayed = np.concatenate([silence, samples])[: len(samples)]
    return (gain * delayed).astype(np.float32)


def watch(path: EchoPath, microphone: NDArray[np.float32], played: NDArray[np.float32]) -> None:
    for start in range(0, len(played), 160):
        path.push(microphone[start : start + 160], played[start : start + 160])


@pytest.mark.parametrize("delay_s", [0.0, 0.04, 0.25, 0.45])
@pytest.mark.parametrize("gain", [1.0, 0.1])
def test_an_echo_is_found_with_its_delay_and_its_level(delay_s: float, gain: float) -> None:
    path, played = EchoPath(), noise(2.0, seed=1)
    watch(path, late(played, delay_s, gain) + noise(2.0, seed=2, level=0.003), played)
    assert path.state == "present"
    assert path.lag_s == pytest.approx(delay_s, abs=0.001)
    assert path.gain_db == pytest.approx(20 * np.log10(gain), abs=1.0)


def test_before_anything_is_played_nothing_is_known() -> None:
    path = EchoPath()
    watch(path, noise(5.0, seed=1), np.zeros(5 * RATE_HZ, np.float32))
    assert path.state == "unknown"


def test_headphones_are_known_after_two_seconds_although_the_visitor_speaks() -> None:
    path = EchoPath()
    watch(path, noise(2.0, seed=1), noise(2.0, seed=2))
    assert path.state == "absent"


def test_an_echo_that_sets_in_is_known_at_once() -> None:
    path = EchoPath()
    watch(path, noise(2.0, seed=1), noise(2.0, seed=2))
    played = noise(0.5, seed=3)
    watch(path, late(played, 0.05, 0.3), played)
    assert path.state == "present"


def test_a_loud_visitor_does_not_make_the_echo_seem_gone_nor_louder() -> None:
    path, played = EchoPath(), noise(4.0, seed=1)
    echo = late(played, 0.05, 0.3)
    watch(path, echo[: 2 * RATE_HZ], played[: 2 * RATE_HZ])
    before_db = path.gain_db
    visitor = noise(1.0, seed=5, level=0.3)
    watch(path, echo[2 * RATE_HZ : 3 * RATE_HZ] + visitor, played[2 * RATE_HZ : 3 * RATE_HZ])
    assert path.state == "present"
    assert path.gain_db == pytest.approx(before_db, abs=1.0)


def test_an_echo_that_comes_before_its_reference_is_none() -> None:
    """Seeds the fault that the reference's lead guards against."""
    path, played = EchoPath(), noise(2.0, seed=1)
    watch(path, played, late(played, 0.02, 1.0))
    assert path.state == "absent"
