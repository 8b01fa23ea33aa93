"""Our own side of a provider's rate limit: at most `count` requests in any `period`, bursts included.

A log of grants rather than a token bucket: a full bucket lets through up to twice the count within one period, and
providers that count do not forgive that.
"""

from collections import deque

from msgspec import Struct

from proxy.config.snapshot import Rate

_FINEST = 1024
"""Grants remembered one by one; beyond, they are remembered in slices of a 1024th of the period: memory is bounded."""


class _Grants(Struct, gc=False):
    first: float
    """Monotonic time of the first of them."""
    last: float
    count: int = 1


class Limiter:
    """Remembers the grants of the last period. The rate is an argument, so that a reload may change it."""

    __slots__ = ("_granted", "_log")

    def __init__(self) -> None:
        self._log: deque[_Grants] = deque()
        """Oldest first."""
        self._granted = 0
        """The sum of the log."""

    def take(self, now: float, rate: Rate) -> bool:
        """Grant one request, if the rate allows it now."""
        self._forget(now, rate)
        if self._granted >= rate.count:
            return False
        self._granted += 1
        slice_length = rate.period / _FINEST if rate.count > _FINEST else 0.0
        if self._log and now - self._log[-1].first < slice_length:
            self._log[-1].last = now  # the whole slice expires with its last grant: late, never early
            self._log[-1].count += 1
        else:
            self._log.append(_Grants(now, now))
        return True

    def ready_in(self, now: float, rate: Rate) -> float:
        """Return seconds until a `take` would succeed; 0 when it would now, one period when the rate allows nothing."""
        if self._granted < rate.count:
            return 0.0
        self._forget(now, rate)
        surplus = self._granted + 1 - rate.count
        if surplus <= 0:
            return 0.0
        for grants in self._log:
            surplus -= grants.count
            if surplus <= 0:
                return grants.last + rate.period - now
        return rate.period

    def left(self, now: float, rate: Rate) -> int:
        """Return how many requests would be granted right now."""
        self._forget(now, rate)
        return max(0, rate.count - self._granted)

    def _forget(self, now: float, rate: Rate) -> None:
        while self._log and self._log[0].last + rate.period <= now:
            self._granted -= self._log.popleft().count
