"""Waiting for something, but not for longer than a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def within(limit_s: float, awaitable: Awaitable[T]) -> T:
    """What it gives, within `limit_s`.

    As `asyncio.wait_for`, which before Python 3.12 loses a cancellation that comes in the moment in
    which the awaited thing is done: a task that loops then goes on for ever, and whoever waits for
    its end with it.

    Raises:
        asyncio.TimeoutError: it took longer; it was cancelled.
    """
    task = asyncio.ensure_future(awaitable)
    try:
        done, _ = await asyncio.wait({task}, timeout=limit_s)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if not done:
        task.cancel()
        await asyncio.wait({task})
        raise asyncio.TimeoutError
    return task.result()
