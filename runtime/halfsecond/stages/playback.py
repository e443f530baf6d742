"""What the visitor has heard: the answer's own clock, and the text that goes with it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from halfsecond.timeline import Now

STUCK_S = 5.0
"""A client that reports the same place for this long is not believed any more: its player hangs,
and its visitor shall be able to ask the next question. Longer than any network's hiccup."""


@dataclass(frozen=True)
class SpokenClause:
    """A clause and where its speech lies on the playback clock."""

    text: str
    start_s: float
    end_s: float


class Playback:
    """Follows an answer that is played from the moment its first sample is sent.

    The client's reports correct the estimate: a client that buffers plays later. While it is
    paused the position stands still.
    """

    def __init__(self, now: Now) -> None:
        self._now = now
        self._started = asyncio.Event()
        self._moved = asyncio.Event()
        """Wakes whoever waits for the ear: it is elsewhere now, or goes on."""
        self._origin_s = 0.0
        self._paused_at_s: float | None = None
        self._reported = (-1.0, 0.0)
        """The furthest that the client has told, and when it did."""
        self._clauses: list[SpokenClause] = []
        self._sent_s = 0.0

    @property
    def sent_s(self) -> float:
        """Length of the speech that was handed over so far."""
        return self._sent_s

    @property
    def has_started(self) -> bool:
        """Whether the first sample has left."""
        return self._started.is_set()

    @property
    def is_paused(self) -> bool:
        return self._paused_at_s is not None

    @property
    def position_s(self) -> float:
        """Where the visitor is: 0 before the start, at most what was sent."""
        if not self._started.is_set():
            return 0.0
        return max(0.0, min(self._ear_s() - self._origin_s, self._sent_s))

    def _ear_s(self) -> float:
        """The time that goes on while the answer plays, and stands still in a pause."""
        return self._now() if self._paused_at_s is None else self._paused_at_s

    def start(self) -> None:
        """The first sample leaves now; later calls change nothing."""
        if not self._started.is_set():
            self._origin_s = self._ear_s()
            self._started.set()

    def pause(self) -> None:
        """The client was told to stand still; a second call changes nothing."""
        if self._paused_at_s is None:
            self._paused_at_s = self._now()

    def resume(self) -> None:
        """The client goes on from where it stood."""
        if self._paused_at_s is not None:
            self._origin_s += self._now() - self._paused_at_s
            self._paused_at_s = None
            self._moved.set()

    async def wait_started(self) -> None:
        """Returns once the first sample has left."""
        await self._started.wait()

    def report(self, position_s: float, *, age_s: float = 0.0) -> None:
        """The client says how far it had played `age_s` ago; never further than what was sent."""
        if not self._started.is_set() or not position_s >= 0.0 or self._is_stuck(position_s):
            return
        on_the_way_s = 0.0 if self.is_paused else age_s
        origin_s = self._ear_s() - min(position_s + on_the_way_s, self._sent_s)
        # At the end a player says the same again and again, and time goes on all the same.
        is_at_end = position_s >= self._sent_s
        self._origin_s = min(self._origin_s, origin_s) if is_at_end else origin_s
        self._moved.set()

    def _is_stuck(self, position_s: float) -> bool:
        """Whether the client has said the same for so long that its turn would never end."""
        reported_s, since_s = self._reported
        if position_s > reported_s or self.is_paused:
            self._reported = (position_s, self._now())
            return False
        return self._now() - since_s > STUCK_S

    def add(self, text: str, duration_s: float) -> None:
        """Speech of this length follows what was handed over before.

        Where that was heard already, the ear has waited and goes on now.
        """
        start_s = self._sent_s
        if self._started.is_set():
            self._origin_s = max(self._origin_s, self._ear_s() - start_s)
        self._sent_s += duration_s
        self._clauses.append(SpokenClause(text, start_s, self._sent_s))

    async def wait_until_near(self, pts_s: float, *, ahead_s: float) -> None:
        """Returns once `pts_s` is at most `ahead_s` in the visitor's future."""
        if pts_s <= ahead_s:
            return
        await self._started.wait()
        while (wait_s := pts_s - ahead_s - (self._ear_s() - self._origin_s)) > 0:
            await self._sleep(None if self.is_paused else wait_s)

    async def _sleep(self, at_most_s: float | None) -> None:
        """Until the ear has gone on by itself, or was moved, either way."""
        self._moved.clear()
        timer = None
        if at_most_s is not None:
            timer = asyncio.get_running_loop().call_later(at_most_s, self._moved.set)
        try:
            await self._moved.wait()
        finally:
            if timer is not None:
                timer.cancel()

    def heard_text(self) -> str:
        """The text up to where the visitor is; the words of a cut clause in proportion to time."""
        position_s = self.position_s
        heard: list[str] = []
        for clause in self._clauses:
            if clause.end_s <= position_s:
                heard.append(clause.text)
                continue
            share = (position_s - clause.start_s) / max(clause.end_s - clause.start_s, 1e-6)
            heard.append(_beginning(clause.text, share))
            break
        return " ".join(part for part in heard if part).strip()


def _beginning(text: str, share: float) -> str:
    """The first `share` of the text, cut back to a whole word (Chinese: a character)."""
    if share <= 0:
        return ""
    length = int(len(text) * min(share, 1.0))
    if length >= len(text) or " " not in text:
        return text[:length]
    return text[:length].rsplit(" ", 1)[0] if " " in text[:length] else ""
