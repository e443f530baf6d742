"""Server-sent events: the lines of a stream in, the data of its events out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def event_data(lines: Iterable[bytes]) -> Iterator[str]:
    """The `data` of each event, its lines joined by newlines.

    `lines` are whole lines with their ends, as a file gives them. Follows the WHATWG's HTML
    standard, section 9.2; comments and the other fields are skipped.
    """
    data: list[str] = []
    for line in lines:
        text = line.decode("utf-8", errors="replace").rstrip("\r\n")
        if not text:
            if data:
                yield "\n".join(data)
            data = []
        elif text.startswith("data:"):
            data.append(text.removeprefix("data:").removeprefix(" "))
    if data:
        yield "\n".join(data)
