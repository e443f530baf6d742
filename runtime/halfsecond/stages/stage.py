"""What a stage is, and what a turn sees of one wherever it runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import msgspec

Request = TypeVar("Request")
Reply = TypeVar("Reply")
RequestIn = TypeVar("RequestIn", contravariant=True)
ReplyOut = TypeVar("ReplyOut", covariant=True)


class Cancel:
    """A flag that is raised once; safe to raise and read from any thread."""

    __slots__ = ("_is_set",)

    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        self._is_set = True

    def is_set(self) -> bool:
        return self._is_set


class Health(msgspec.Struct, frozen=True):
    """How a stage is."""

    stage: str
    is_ready: bool
    detail: str = ""
    queued: int = 0
    """Requests that wait for the engine."""
    busy_s: float = 0.0
    """How long the engine has worked without giving anything; 0 where it has nothing to do."""


class Stage(Protocol, Generic[RequestIn, ReplyOut]):
    """An engine behind a picklable config. All calls come from one thread of its own.

    It knows no sockets and no clock, so that any process can host it.
    """

    name: ClassVar[str]
    request_type: ClassVar[Any]
    """What `run` takes, as a type that msgspec can decode."""
    reply_type: ClassVar[Any]

    def open(self) -> None:
        """Loads the models and warms them up."""
        ...

    def run(self, request: RequestIn, cancel: Cancel) -> Iterator[ReplyOut]:
        """The replies as they are made; ends soon after `cancel` is set."""
        ...

    def health(self) -> str:
        """One line on the engine: model, threads, provider."""
        ...

    def close(self) -> None: ...


class StageHandle(Protocol, Generic[RequestIn, ReplyOut]):
    """A stage as a turn calls it, from the event loop; local or remote."""

    @property
    def name(self) -> str: ...

    async def open(self) -> None: ...

    def run(self, request: RequestIn, cancel: Cancel) -> AsyncIterator[ReplyOut]:
        """The replies in order. Leaving the iteration early cancels the request.

        Raises:
            StageError: the stage failed or went away.
            HalfsecondError: what the stage itself raised.
        """
        ...

    async def health(self) -> Health: ...

    async def close(self) -> None: ...
