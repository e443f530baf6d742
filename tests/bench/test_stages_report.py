"""Figures of single models on models that are made up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from halfsecond.config import Config
from halfsecond.models.tts.voice import SpeechChunk
from halfsecond.store import Store
from halfsecond_bench import stages


class UnevenDriver:
    """Every third frame takes long."""

    def begin(self) -> None:
        pass

    def feed(self, samples: object, *, phones: object = ()) -> Iterator[int]:
        for number in range(9):
            time.sleep(0.05 if number % 3 == 2 else 0.001)
            yield number

    def close(self) -> None:
        pass


def test_frames_per_second_are_those_that_were_made_in_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def open_drivers(*_: object) -> Any:
        return UnevenDriver

    monkeypatch.setattr("halfsecond.stages.openers.open_drivers", open_drivers)
    store = cast(Store, SimpleNamespace(path=lambda _: Path()))
    speech = [SpeechChunk(np.zeros(2400, np.float32), "")]
    frames, fps = stages._measure_mesh(Config(), store, speech)
    assert frames.n == 9
    assert frames.p50 < 10
    assert 10 < fps < 60  # nine frames in 156 ms and a little more
