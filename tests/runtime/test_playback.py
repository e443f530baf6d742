"""Where the visitor's ear is, by a clock that is told."""

from __future__ import annotations

import asyncio

import pytest

from halfsecond.stages.playback import Playback


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_speech_that_comes_late_is_heard_from_when_it_comes(clock: Clock) -> None:
    playback = Playback(clock)
    playback.add("one two", 1.0)
    playback.start()
    clock.now_s += 3.0  # the ear has been waiting for two seconds
    playback.add("three four five six", 2.0)
    assert playback.position_s == pytest.approx(1.0)
    assert playback.heard_text() == "one two"
    clock.now_s += 1.0
    assert playback.heard_text() == "one two three"


async def test_who_waits_for_the_ear_goes_on_as_soon_as_it_is_reported_there(clock: Clock) -> None:
    playback = Playback(clock)
    playback.add("one", 3600.0)
    playback.start()
    waiting = [asyncio.create_task(playback.wait_until_near(at_s, ahead_s=0.0)) for at_s in (9, 99)]
    await asyncio.sleep(0)
    playback.report(10.0)
    await asyncio.wait_for(waiting[0], 5)
    assert not waiting[1].done()
    playback.report(100.0)
    await asyncio.wait_for(waiting[1], 5)


def test_the_end_reported_again_does_not_turn_the_clock_back(clock: Clock) -> None:
    playback = Playback(clock)
    playback.add("one", 1.0)
    playback.start()
    clock.now_s += 0.5
    playback.report(1.0)
    assert playback.position_s == pytest.approx(1.0)
    clock.now_s += 0.1
    playback.report(1.0)
    playback.add("two", 1.0)
    assert playback.position_s == pytest.approx(1.0)


def test_a_client_that_plays_later_moves_the_ear_back(clock: Clock) -> None:
    playback = Playback(clock)
    playback.add("one two three four", 2.0)
    playback.start()
    clock.now_s += 1.5
    playback.report(1.0)
    assert playback.position_s == pytest.approx(1.0)


def test_a_pause_stands_still_and_goes_on_where_it_stood(clock: Clock) -> None:
    playback = Playback(clock)
    playback.add("one two three four", 2.0)
    playback.start()
    clock.now_s += 0.5
    playback.pause()
    clock.now_s += 10.0
    playback.pause()  # a second one changes nothing
    assert playback.position_s == pytest.approx(0.5)
    assert playback.heard_text() == "one"
    playback.resume()
    clock.now_s += 0.5
    assert playback.position_s == pytest.approx(1.0)


def test_a_report_in_a_pause_says_where_the_client_stands(clock: Clock) -> None:
    playback = Playback(clock)
    playback.add("one two three four", 2.0)
    playback.start()
    clock.now_s += 1.0
    playback.pause()
    clock.now_s += 1.0
    playback.report(0.8)
    playback.resume()
    clock.now_s += 0.2
    assert playback.position_s == pytest.approx(1.0)


def test_an_answer_paused_before_its_first_sample_begins_when_it_goes_on(clock: Clock) -> None:
    playback = Playback(clock)
    playback.add("one", 1.0)
    playback.pause()
    clock.now_s += 3.0
    playback.resume()
    playback.start()
    assert playback.position_s == pytest.approx(0.0)


async def test_who_waits_for_the_ear_waits_out_a_pause(clock: Clock) -> None:
    playback = Playback(clock)
    playback.add("one", 1.0)
    playback.start()
    playback.pause()
    waiting = asyncio.create_task(playback.wait_until_near(0.5, ahead_s=0.0))
    clock.now_s += 5.0
    await asyncio.sleep(0.02)
    assert not waiting.done()
    playback.resume()
    clock.now_s += 0.5
    await asyncio.wait_for(waiting, 2)


def test_a_player_that_hangs_is_believed_for_some_seconds_only(clock: Clock) -> None:
    playback = Playback(clock)
    playback.add("one two three four", 20.0)
    playback.start()
    for _ in range(40):
        clock.now_s += 0.25
        playback.report(1.0)
        if clock.now_s < 105.0:
            assert playback.position_s == pytest.approx(1.0)
    assert playback.position_s > 4.0
    clock.now_s += 20.0
    assert playback.position_s == pytest.approx(20.0)
