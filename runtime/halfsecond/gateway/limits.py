"""How much one address may ask for: token buckets, and a bound on how many are kept."""

from __future__ import annotations

from collections import OrderedDict

from halfsecond.timeline import Now

MAX_ADDRESSES = 4096
"""Addresses that are remembered; the longest silent one is forgotten first."""


class Bucket:
    """Lets `rate` units a second through on average, and `burst` at once."""

    def __init__(self, *, rate: float, burst: float, now: Now) -> None:
        self._rate = rate
        self._burst = burst
        self._now = now
        self._level = burst
        self._at_s = now()

    def take(self, units: float = 1.0) -> bool:
        """Whether there is enough for these units, which are then gone."""
        at_s = self._now()
        self._level = min(self._burst, self._level + (at_s - self._at_s) * self._rate)
        self._at_s = at_s
        if units > self._level:
            return False
        self._level -= units
        return True


class AddressLimits:
    """A bucket for each address."""

    def __init__(self, *, rate: float, burst: float, now: Now) -> None:
        self._rate = rate
        self._burst = burst
        self._now = now
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def take(self, address: str) -> bool:
        """Whether this address may ask once more now."""
        bucket = self._buckets.pop(address, None)
        if bucket is None:
            bucket = Bucket(rate=self._rate, burst=self._burst, now=self._now)
        self._buckets[address] = bucket
        if len(self._buckets) > MAX_ADDRESSES:
            self._buckets.popitem(last=False)
        return bucket.take()


MESSAGES_PER_S = 200.0
"""50 blocks of sound, 25 to 60 credits and 4 playheads, and room for a browser that catches up."""
BYTES_PER_S = 400_000.0
"""48 kHz in two channels has 192 kB a second."""
BURST_S = 3.0
MAX_FAULTS = 20
"""Messages that break the protocol before the connection is closed."""


class Allowance:
    """What one connected browser may send."""

    def __init__(self, *, now: Now) -> None:
        self._messages = Bucket(rate=MESSAGES_PER_S, burst=BURST_S * MESSAGES_PER_S, now=now)
        self._bytes = Bucket(rate=BYTES_PER_S, burst=BURST_S * BYTES_PER_S, now=now)
        self._faults = 0

    def take(self, size_bytes: int) -> bool:
        """Whether a message of this size may come now."""
        return self._messages.take() and self._bytes.take(size_bytes)

    def is_faulty(self) -> bool:
        """Counts a message that broke the protocol; True when there were too many."""
        self._faults += 1
        return self._faults >= MAX_FAULTS
