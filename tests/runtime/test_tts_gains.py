"""Gains of voices: measured once, and nobody's voice is kept with them."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from numpy.typing import NDArray

from halfsecond.models.tts.levels import Gains
from halfsecond.models.tts.voice import SPEECH_RATE_HZ


def test_a_measured_voice_is_known_by_its_digest_and_the_oldest_goes() -> None:
    gains = Gains()
    measured: list[int] = []

    def gain(number: int) -> float:
        def speak() -> NDArray[np.float32]:
            measured.append(number)
            return np.full(SPEECH_RATE_HZ, 0.1, np.float32)

        return gains.of(np.full(256, number, np.float32), speak)

    for number in (*range(32), 0, 32, 0, 1):
        assert gain(number) == pytest.approx(1.0)
    assert measured == [*range(33), 1]
    held = pickle.dumps(gains)
    assert np.full(256, 1, np.float32).tobytes() not in held
    assert len(held) < 32 * 256
