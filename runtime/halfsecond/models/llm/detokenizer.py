"""Text out of tokens that come one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

# What a decoder writes for bytes that are not yet a whole character.
_INCOMPLETE = "�"


class StreamingDetokenizer:
    """Turns token ids into pieces of text whose concatenation is the text of all of them,
    without white space in front.

    A character may span several tokens and a token's leading space may depend on what is before
    it, so all ids are decoded each time and only what is new and whole is given out. That is
    quadratic, and 0.1 s in all for an answer of a thousand tokens.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._ids: list[int] = []
        self._given = ""

    def push(self, token_id: int) -> str:
        """The text that this token completes; empty while a character is incomplete."""
        self._ids.append(token_id)
        text = self._decode(self._ids)
        if text.endswith(_INCOMPLETE):
            return ""
        return self._give(text)

    def flush(self) -> str:
        """What is left at the end, without a character that was cut off."""
        return self._give(self._decode(self._ids).rstrip(_INCOMPLETE)) if self._ids else ""

    def _give(self, text: str) -> str:
        text = text.lstrip()
        piece = text[len(self._given) :]
        if piece:
            self._given = text
        return piece


class StopText:
    """Holds back text that may be the beginning of a stop string, and ends at a whole one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.is_stopped = False

    def push(self, piece: str) -> str:
        """What may be given out now; nothing once a stop string was seen."""
        if self.is_stopped:
            return ""
        text = self._held + piece
        found = [at for at in (text.find(stop) for stop in self._stops) if at >= 0]
        if found:
            self.is_stopped = True
            self._held = ""
            return text[: min(found)]
        kept = self._possible_start(text)
        self._held = text[len(text) - kept :]
        return text[: len(text) - kept]

    def flush(self) -> str:
        """What was held back and turned out to be no stop string."""
        held, self._held = self._held, ""
        return held

    def _possible_start(self, text: str) -> int:
        longest = max((len(stop) - 1 for stop in self._stops), default=0)
        for length in range(min(longest, len(text)), 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self._stops):
                return length
        return 0


def answer_text(
    tokens: Iterable[int],
    *,
    decode: Callable[[Sequence[int]], str],
    stop: Sequence[str],
    is_cancelled: Callable[[], bool],
) -> Iterator[str]:
    """Pieces of an answer, a token or more each, up to the last token or a string of `stop`."""
    text, stops = StreamingDetokenizer(decode), StopText(stop)
    for token in tokens:
        if is_cancelled():
            return
        if piece := stops.push(text.push(token)):
            yield piece
        if stops.is_stopped:
            return
    rest = stops.push(text.flush()) + stops.flush()
    if rest and not is_cancelled():
        yield rest
