"""Two counters over a sliding span of time, in bounded memory, for the breaker's ratio and the retry budget."""

from collections import deque
from dataclasses import dataclass
from math import floor, inf

_SLICES = 20
"""Slices per span: an event is forgotten at most a twentieth of the span too late, and never too early."""


@dataclass(slots=True)
class _Slice:
    number: int
    first: int = 0
    second: int = 0


class Tally:
    """Counts events of two kinds over the last `span` seconds (an argument, so that a reload may change it)."""

    __slots__ = ("_ends", "_first", "_second", "_slices", "_span")

    def __init__(self) -> None:
        self._span = 0.0
        self._slices: deque[_Slice] = deque()
        """Oldest first; only slices in which something happened."""
        self._ends = -inf
        """Monotonic time at which the newest slice ends: until then there is nothing to forget either."""
        self._first = 0
        self._second = 0

    def add(self, now: float, span: float, *, first: int = 0, second: int = 0) -> None:
        """Count events that happen now; one told a little late counts into the newest slice."""
        if now >= self._ends or span != self._span:
            self._begin_slice(now, span)
        newest = self._slices[-1]
        newest.first += first
        newest.second += second
        self._first += first
        self._second += second

    def totals(self, now: float, span: float) -> tuple[int, int]:
        """Return how many events of either kind the last `span` seconds held."""
        self._forget(now, span)
        return self._first, self._second

    def clear(self) -> None:
        """Forget everything."""
        self._slices.clear()
        self._ends = -inf
        self._first = self._second = 0

    def _begin_slice(self, now: float, span: float) -> None:
        self._forget(now, span)
        number = floor(now / span * _SLICES)
        if not self._slices or self._slices[-1].number < number:
            self._slices.append(_Slice(number))
            self._ends = (number + 1) * span / _SLICES

    def _forget(self, now: float, span: float) -> None:
        if span != self._span:
            self._span = span
            self.clear()  # slice numbers mean nothing under another span
        oldest = floor((now - span) / span * _SLICES)
        while self._slices and self._slices[0].number < oldest:
            gone = self._slices.popleft()
            self._first -= gone.first
            self._second -= gone.second
        if not self._slices:
            self._ends = -inf
