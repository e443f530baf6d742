"""Waiting with a limit, and what a cancellation does to it."""

from __future__ import annotations

import asyncio

import pytest

from halfsecond.deadline import within


async def test_a_result_and_an_error_pass() -> None:
    async def fail() -> None:
        raise ValueError("no")

    assert await within(1, asyncio.sleep(0, "yes")) == "yes"
    with pytest.raises(ValueError, match="no"):
        await within(1, fail())


async def test_what_takes_too_long_is_cancelled() -> None:
    never = asyncio.get_running_loop().create_future()
    with pytest.raises(asyncio.TimeoutError):
        await within(0.01, never)
    assert never.cancelled()


async def test_a_cancellation_is_heard_even_in_the_moment_in_which_the_result_is_there() -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(within(5, future))
    await asyncio.sleep(0)
    future.set_result(1)
    waiting.cancel()  # `asyncio.wait_for` would give 1 here before Python 3.12
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_cancellation_reaches_what_is_waited_for() -> None:
    never = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(within(5, never))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert never.cancelled()
