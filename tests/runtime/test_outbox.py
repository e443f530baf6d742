"""What waits for a client: sound and words are never lost, pictures go by credit."""

from __future__ import annotations

import asyncio

import pytest

from halfsecond import wire
from halfsecond.bus.outbox import MAX_MESSAGES, MAX_PICTURES, Outbox


def picture(seq: int, *, generation: int = 1) -> wire.Video:
    return wire.Video(turn=1, generation=generation, seq=seq, width=2, height=2)


def sound(seq: int, *, generation: int = 1) -> wire.Audio:
    return wire.Audio(turn=1, generation=generation, seq=seq)


async def sent(outbox: Outbox) -> list[wire.Header]:
    """Everything that can be sent now."""
    headers: list[wire.Header] = []
    while True:
        try:
            header, _ = await asyncio.wait_for(outbox.next(), 0.01)
        except asyncio.TimeoutError:
            return headers
        headers.append(header)


async def test_sound_and_words_go_before_pictures_each_in_order() -> None:
    outbox = Outbox(credit=5)
    outbox.put(picture(0))
    outbox.put(sound(0))
    outbox.put(picture(1))
    outbox.put(wire.Answer(text="We close at five."))
    outbox.put(sound(1))
    assert await sent(outbox) == [
        sound(0),
        wire.Answer(text="We close at five."),
        sound(1),
        picture(0),
        picture(1),
    ]


async def test_what_raises_the_generation_overtakes_no_picture_that_could_still_be_shown() -> None:
    outbox = Outbox(credit=5)
    outbox.put(wire.Video(generation=1, width=2, height=2))  # the resting face
    outbox.put(sound(0, generation=1))
    outbox.put(wire.StateChange(turn=2, generation=2, state="thinking"))
    outbox.put(picture(0, generation=2))
    found = await sent(outbox)
    assert [(type(m), m.generation) for m in found] == [(wire.StateChange, 2), (wire.Video, 2)]


async def test_a_message_outside_any_generation_drops_nothing() -> None:
    outbox = Outbox(credit=5)
    outbox.put(picture(0, generation=3))
    outbox.put(wire.Error(code="too_fast", message="audio comes faster than it can be heard"))
    assert [type(m) for m in await sent(outbox)] == [wire.Error, wire.Video]


async def test_a_payload_stays_with_its_header() -> None:
    outbox = Outbox(credit=1)
    outbox.put(picture(0), b"picture")
    outbox.put(sound(0), b"sound")
    assert await outbox.next() == (sound(0), b"sound")
    assert await outbox.next() == (picture(0), b"picture")


async def test_pictures_are_sent_as_far_as_credit_reaches_and_go_on_with_more() -> None:
    outbox = Outbox(credit=2)
    for seq in range(5):
        outbox.put(picture(seq))
    assert await sent(outbox) == [picture(0), picture(1)]
    outbox.grant(1)
    assert await sent(outbox) == [picture(2)]
    outbox.grant(10)
    assert await sent(outbox) == [picture(3), picture(4)]
    assert outbox.credit == 8


async def test_who_waits_is_woken_by_credit() -> None:
    outbox = Outbox()
    outbox.put(picture(0))
    waiting = asyncio.create_task(outbox.next())
    await asyncio.sleep(0)
    assert not waiting.done()
    outbox.grant(1)
    assert (await asyncio.wait_for(waiting, 5))[0] == picture(0)


async def test_who_waits_is_woken_by_a_message() -> None:
    outbox = Outbox()
    waiting = asyncio.create_task(outbox.next())
    await asyncio.sleep(0)
    outbox.put(sound(0))
    assert (await asyncio.wait_for(waiting, 5))[0] == sound(0)


async def test_the_oldest_pictures_are_dropped_and_counted() -> None:
    outbox = Outbox()
    for seq in range(MAX_PICTURES + 7):
        outbox.put(picture(seq))
    assert outbox.dropped_pictures == 7
    outbox.grant(1000)
    assert await sent(outbox) == [picture(seq) for seq in range(7, MAX_PICTURES + 7)]


async def test_sound_is_never_dropped_however_much_waits() -> None:
    outbox = Outbox()
    for seq in range(MAX_MESSAGES + 10):
        outbox.put(sound(seq))
        outbox.put(picture(seq))
    assert outbox.is_overfull
    assert await sent(outbox) == [sound(seq) for seq in range(MAX_MESSAGES + 10)]
    assert not outbox.is_overfull


async def test_an_interruption_forgets_older_sound_and_pictures_and_keeps_words() -> None:
    outbox = Outbox(credit=9)
    outbox.put(sound(0, generation=1))
    outbox.put(wire.TurnEnd(generation=1, reason="interrupted"))
    outbox.put(picture(0, generation=1))
    outbox.put(picture(1, generation=2))
    outbox.put(sound(1, generation=2))
    outbox.put(picture(2, generation=3))
    outbox.drop_before(2)
    assert await sent(outbox) == [
        wire.TurnEnd(generation=1, reason="interrupted"),
        sound(1, generation=2),
        picture(1, generation=2),
        picture(2, generation=3),
    ]


async def test_what_an_interruption_forgets_costs_no_credit() -> None:
    outbox = Outbox(credit=3)
    outbox.put(picture(0, generation=1))
    outbox.drop_before(2)
    assert outbox.credit == 3
    assert outbox.wants_pictures


@pytest.mark.parametrize(("granted", "kept"), [(5000, 1000), (-3, 4), (0, 4), (6, 10)])
def test_credit_has_bounds(granted: int, kept: int) -> None:
    outbox = Outbox(credit=4)
    outbox.grant(granted)
    assert outbox.credit == kept


def test_a_picture_is_wanted_only_if_it_could_be_sent_at_once() -> None:
    outbox = Outbox(credit=1)
    assert outbox.wants_pictures
    outbox.put(picture(0))
    assert not outbox.wants_pictures
