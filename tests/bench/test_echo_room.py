"""The simulated room, and the client that plays into it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from halfsecond import wire
from halfsecond.audio import float_to_pcm16
from halfsecond_bench.echo.live import BLOCK, Loudspeaker
from halfsecond_bench.echo.room import DIRECT_S, ROOMS, Room, at_level, speech_level

RATE_HZ = 16_000


def level_db(samples: NDArray[Any]) -> float:
    return float(10 * np.log10(np.mean(np.square(samples))))


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.name))
def test_a_click_comes_back_late_and_dies_away_as_the_room_says(room: Room) -> None:
    click = np.zeros(2 * RATE_HZ, np.float32)
    click[0] = 0.01
    echo = room.echo(click)
    assert int(np.argmax(np.abs(echo))) == int(DIRECT_S * RATE_HZ)
    early, late = round(0.02 * RATE_HZ), round((0.02 + room.reverberation_s / 2) * RATE_HZ)
    fallen_db = level_db(echo[early : early + 400]) - level_db(echo[late : late + 400])
    assert fallen_db == pytest.approx(30, abs=4)


def test_a_loudspeaker_that_is_driven_hard_adds_harmonics() -> None:
    tone = (0.35 * np.sin(2 * np.pi * 200 * np.arange(RATE_HZ) / RATE_HZ)).astype(np.float32)
    for drive, share in ((2.0, 0.05), (5.0, 0.15)):
        room = Room("none", reverberation_s=0.1, direct_db=60, drive=drive, seed=0)
        spectrum = np.abs(np.fft.rfft(room.echo(tone)))
        harmonics = np.sqrt(np.sum(np.square(spectrum[400::200])))
        assert harmonics / spectrum[200] == pytest.approx(share, abs=0.02)


def test_speech_is_brought_to_a_level_whatever_silence_is_around_it() -> None:
    speech = np.concatenate([np.zeros(RATE_HZ), np.random.default_rng(0).normal(size=RATE_HZ)])
    for samples in (speech, speech[RATE_HZ:]):
        level = speech_level(at_level(samples, -26.0))
        assert 20 * np.log10(level) == pytest.approx(-26.0, abs=0.1)


def packet(turn: int, value: float, *, generation: int = 1) -> tuple[wire.Audio, bytes]:
    samples = np.full(2400, value, np.float32)
    return wire.Audio(turn=turn, generation=generation), float_to_pcm16(samples)


def heard(loudspeaker: Loudspeaker, blocks: int) -> list[float]:
    """The middle value of each block, to a tenth."""
    return [round(float(loudspeaker.next_block()[BLOCK // 2]), 1) for _ in range(blocks)]


def test_packets_are_played_one_after_another_after_the_delay() -> None:
    loudspeaker = Loudspeaker(delay_s=0.04)
    loudspeaker.take(*packet(1, 0.2))
    loudspeaker.take(*packet(1, 0.4))
    assert heard(loudspeaker, 13) == [0.0] * 2 + [0.2] * 5 + [0.4] * 5 + [0.0]
    assert loudspeaker.position_s == pytest.approx(0.2, abs=0.001)


def test_a_pause_stands_still_and_a_resume_goes_on() -> None:
    loudspeaker = Loudspeaker(delay_s=0.0)
    loudspeaker.take(*packet(1, 0.2))
    assert heard(loudspeaker, 2) == [0.2, 0.2]
    loudspeaker.take(wire.Pause(turn=1, generation=1), b"")
    assert heard(loudspeaker, 3) == [0.0, 0.0, 0.0]
    loudspeaker.take(wire.Resume(turn=1, generation=1), b"")
    assert heard(loudspeaker, 4) == [0.2, 0.2, 0.2, 0.0]


def test_a_raised_generation_silences_what_is_older() -> None:
    loudspeaker = Loudspeaker(delay_s=0.0)
    loudspeaker.take(*packet(1, 0.2))
    loudspeaker.take(wire.StateChange(state="idle", generation=2), b"")
    loudspeaker.take(*packet(1, 0.2))
    assert heard(loudspeaker, 2) == [0.0, 0.0]
    loudspeaker.take(*packet(2, 0.6, generation=2))
    assert heard(loudspeaker, 1) == [0.6]
    assert loudspeaker.turn == 2
