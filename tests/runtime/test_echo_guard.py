"""Who is taken for the visitor, on frames of noise: no canceller is needed for that."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.echo.guard import EchoGuard

RATE_HZ = 16_000
FRAME = 160


def noise(length_s: float, *, seed: int, dbfs: float) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    return random.normal(0, 10 ** (dbfs / 20), int(length_s * RATE_HZ)).astype(np.float32)


def judged(
    guard: EchoGuard,
    *,
    microphone: NDArray[np.float32],
    cleaned: NDArray[np.float32],
    played: NDArray[np.float32],
) -> Iterator[tuple[bool, bool]]:
    """Of each frame: whether it is audible, and whether it is the microphone's own."""
    for start in range(0, len(played), FRAME):
        frame = slice(start, start + FRAME)
        guard.push(microphone[frame], played[frame])
        samples, audible = guard.judge(microphone[frame], cleaned[frame])
        yield (
            bool(audible.any()),
            samples is not cleaned and bool(np.array_equal(samples, microphone[frame])),
        )


def share_audible(frames: list[tuple[bool, bool]]) -> float:
    return float(np.mean([audible for audible, _ in frames]))


def learned() -> tuple[EchoGuard, NDArray[np.float32]]:
    """A guard that has heard 3 s of an echo at -30 dBFS, of which the canceller left -45."""
    guard, played = EchoGuard(), noise(3.0, seed=1, dbfs=-20)
    echo = played * 10 ** (-10 / 20)
    list(judged(guard, microphone=echo, cleaned=echo * 10 ** (-15 / 20), played=played))
    return guard, noise(1.0, seed=2, dbfs=-20)


def test_what_is_left_of_the_echo_is_not_audible() -> None:
    guard, played = learned()
    echo = played * 10 ** (-10 / 20)
    frames = list(judged(guard, microphone=echo, cleaned=echo * 10 ** (-12 / 20), played=played))
    assert share_audible(frames) == 0.0


def test_a_visitor_as_loud_as_the_echo_is_audible_within_a_frame() -> None:
    guard, played = learned()
    visitor = noise(1.0, seed=3, dbfs=-30)
    microphone = played * 10 ** (-10 / 20) + visitor
    frames = list(judged(guard, microphone=microphone, cleaned=visitor, played=played))
    assert share_audible(frames) > 0.99


def test_the_tail_of_the_echo_is_not_audible_although_nothing_is_played_any_more() -> None:
    guard, _ = learned()
    fall = 10 ** (-3 * np.arange(RATE_HZ // 2) / RATE_HZ / 0.6)  # a room of 0.6 s
    tail = (noise(0.5, seed=4, dbfs=-38) * fall).astype(np.float32)
    silence = np.zeros_like(tail)
    assert share_audible(list(judged(guard, microphone=tail, cleaned=tail, played=silence))) == 0.0


def test_a_visitor_right_after_the_answer_is_audible() -> None:
    guard, _ = learned()
    visitor = noise(0.5, seed=4, dbfs=-30)
    silence = np.zeros_like(visitor)
    frames = list(judged(guard, microphone=visitor, cleaned=visitor, played=silence))
    assert share_audible(frames) > 0.9


def test_in_the_first_second_only_who_is_louder_than_the_echo_is_audible() -> None:
    guard, played = EchoGuard(), noise(1.0, seed=1, dbfs=-20)
    echo = played * 10 ** (-10 / 20)
    frames = list(judged(guard, microphone=echo, cleaned=echo, played=played))  # nothing removed
    assert share_audible(frames[:100]) == 0.0
    guard, louder = EchoGuard(), noise(1.0, seed=5, dbfs=-22)
    louder[: RATE_HZ // 2] = 0
    frames = list(judged(guard, microphone=echo + louder, cleaned=louder, played=played))
    assert share_audible(frames[:50]) == 0.0
    assert share_audible(frames[50:]) > 0.9


def test_without_an_echo_the_microphone_is_handed_on_untouched() -> None:
    guard, played = EchoGuard(), noise(3.0, seed=1, dbfs=-20)
    visitor = noise(3.0, seed=2, dbfs=-30)
    cleaned = (visitor / 30).astype(np.float32)
    frames = list(judged(guard, microphone=visitor, cleaned=cleaned, played=played))
    assert all(own and audible for audible, own in frames[200:])


def test_a_faint_echo_is_left_in_for_the_sake_of_the_visitor() -> None:
    guard, played = EchoGuard(), noise(3.0, seed=1, dbfs=-20)
    echo = played * 10 ** (-42 / 20)
    visitor = noise(3.0, seed=2, dbfs=-30)
    visitor[: 2 * RATE_HZ] = 0
    cleaned = (visitor / 30).astype(np.float32)
    frames = list(judged(guard, microphone=echo + visitor, cleaned=cleaned, played=played))
    assert share_audible(frames[:200]) == 0.0
    assert all(own and audible for audible, own in frames[201:])


def test_while_nothing_is_played_everything_is_audible() -> None:
    guard, visitor = EchoGuard(), noise(1.0, seed=2, dbfs=-60)
    silence = np.zeros_like(visitor)
    frames = list(judged(guard, microphone=visitor, cleaned=visitor, played=silence))
    assert share_audible(frames) == 1.0
