"""What a fetch says while it works."""

from __future__ import annotations

from typing import Protocol


class FetchProgress(Protocol):
    """Hears of one file after another; nothing it does may raise."""

    def begin(self, label: str, total_bytes: int | None) -> None:
        """A file, a package or a preparation starts."""
        ...

    def at(self, done_bytes: int, total_bytes: int | None = None) -> None:
        """So much of it is there; a better total may be known by now."""
        ...

    def end(self) -> None:
        """It is over, well or not."""
        ...

    def note(self, message: str) -> None:
        """Something for the user to read: a mirror was skipped, another fetch is waited for."""
        ...


class SilentProgress:
    """Says nothing."""

    def begin(self, label: str, total_bytes: int | None) -> None:
        pass

    def at(self, done_bytes: int, total_bytes: int | None = None) -> None:
        pass

    def end(self) -> None:
        pass

    def note(self, message: str) -> None:
        pass
