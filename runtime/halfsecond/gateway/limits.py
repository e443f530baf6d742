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
