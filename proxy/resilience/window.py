"""What one provider did lately: success rate, times and their percentiles over the last minutes, in bounded memory.

Times are counted into buckets whose width grows with the value (as DDSketch does), one small histogram per slice of
time: a record costs the same however many came before it, and a percentile is off by less than 5 %. Two windows hear of
every attempt, so a record is only put down; it is counted with some hundred others, or when somebody asks.
"""

from collections import deque
from dataclasses import dataclass, field
from math import ceil, floor, inf, log

from proxy.resilience.buckets import counted

_SLICES = 30
_GROWTH = 1.1
"""Each bucket reaches 10 % further than the one before, so its middle is within 4.8 % of all that it holds."""
_SHORTEST, _LONGEST = 1e-4, 1e5
"""Seconds; times beyond are counted as these, which bounds the number of buckets at about 220."""
_FIRST, _LAST = (ceil(log(seconds) / log(_GROWTH)) for seconds in (_SHORTEST, _LONGEST))
_BOUNDS = tuple([_GROWTH**exponent for exponent in range(_FIRST, _LAST)])
"""Seconds that a bucket reaches up to; the last bucket, which has no place here, takes whatever is longer."""
_WAITING = 256
"""Times that wait to be counted."""
_FRESH = 0.5
"""Seconds for which a result is given out again."""
_MANY = 100
"""Attempts in the window from which on one more changes next to nothing: the result stays fresh all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """A provider's recent past. None: nothing was seen, which is not zero. Times are seconds, of successes only."""

    requests: int = 0
    success_rate: float | None = None
    """0-1."""
    average_response_time: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    first_output_p50: float | None = None
    first_output_p95: float | None = None
    first_output_p99: float | None = None
    requests_per_minute: float = 0.0
    uptime_percentage: float | None = None
    """0-100: of the slices of time that saw requests, those in which at least one succeeded."""


@dataclass(slots=True)
class _Slice:
    """What happened in one slice of time."""

    number: int
    requests: int = 0
    successes: int = 0
    seconds: float = 0.0
    """Sum of the times of successes."""
    durations: dict[int, int] = field(default_factory=dict)
    """Bucket number -> successes."""
    first_outputs: dict[int, int] = field(default_factory=dict)


class Window:
    """The last `length` seconds of one provider's attempts."""

    __slots__ = (
        "_cached",
        "_cached_at",
        "_durations",
        "_ends",
        "_few",
        "_first_outputs",
        "_length",
        "_new_durations",
        "_new_first_outputs",
        "_slices",
    )

    def __init__(self, length: float = 300.0) -> None:
        self._length = length
        self._slices: deque[_Slice] = deque()
        self._ends = -inf
        """Monotonic time at which the newest slice ends."""
        self._durations: dict[int, int] = {}
        """The sum over the slices, kept up to date because adding them up for every request would be felt."""
        self._first_outputs: dict[int, int] = {}
        self._new_durations: list[float] = []
        """Of the newest slice, and not counted yet."""
        self._new_first_outputs: list[float] = []
        self._cached: Performance | None = None
        self._cached_at = 0.0
        self._few = True
        """Whether one attempt more would make what is cached old."""

    def record(self, now: float, *, ok: bool, duration: float, first_output: float | None) -> None:
        """Note an attempt that ended now, after `duration` s; `first_output` is None when there was none to time."""
        newest = self._slices[-1] if now < self._ends else self._next_slice(now)
        if self._few:
            self._cached = None
        newest.requests += 1
        if not ok:
            return
        self._new_durations.append(duration)
        if first_output is not None:
            self._new_first_outputs.append(first_output)
        if len(self._new_durations) >= _WAITING:
            self._count()

    def outlasted(self, now: float, seconds: float) -> None:
        """Note that somebody faster made an attempt end after `seconds` without output: it would have taken longer.

        Left out, every hedge would take the slowest answers out of the quantile that decides when to hedge, until
        hedging was the rule.
        """
        if now >= self._ends:
            self._next_slice(now)
        if self._few:
            self._cached = None
        self._new_first_outputs.append(seconds)
        if len(self._new_first_outputs) >= _WAITING:
            self._count()

    def performance(self, now: float) -> Performance:
        """Sum the window up, at most every half second, and after each record while there are few."""
        if self._cached is None or now - self._cached_at >= _FRESH:
            self._forget(now)
            self._cached = self._summed_up(now)
            self._cached_at = now
            self._few = self._cached.requests < _MANY
        return self._cached

    def _next_slice(self, now: float) -> _Slice:
        """Begin the slice that an attempt which ends now belongs to, unless it is told late; forget what is too old."""
        self._forget(now)
        number = floor(now / self._length * _SLICES)
        if not self._slices or self._slices[-1].number < number:
            self._slices.append(_Slice(number))
            self._ends = (number + 1) * self._length / _SLICES
        return self._slices[-1]

    def _count(self) -> None:
        """Count what was put down: it belongs to the newest slice."""
        durations, first_outputs = self._new_durations, self._new_first_outputs
        if not durations and not first_outputs:
            return
        newest = self._slices[-1]
        newest.successes += len(durations)
        newest.seconds += sum(durations)
        _add(durations, newest.durations, self._durations)
        _add(first_outputs, newest.first_outputs, self._first_outputs)
        durations.clear()
        first_outputs.clear()

    def _forget(self, now: float) -> None:
        self._count()
        oldest = floor((now - self._length) / self._length * _SLICES)
        while self._slices and self._slices[0].number < oldest:
            gone = self._slices.popleft()
            _take_away(gone.durations, self._durations)
            _take_away(gone.first_outputs, self._first_outputs)
        if not self._slices:
            self._ends = -inf

    def _summed_up(self, now: float) -> Performance:
        if not self._slices:
            return Performance()
        requests = sum(each.requests for each in self._slices)
        successes = sum(each.successes for each in self._slices)
        p50, p95, p99 = _percentiles(self._durations, 0.50, 0.95, 0.99)
        first_output_p50, first_output_p95, first_output_p99 = _percentiles(self._first_outputs, 0.50, 0.95, 0.99)
        up = sum(each.successes > 0 for each in self._slices)
        busy = sum(each.requests > 0 for each in self._slices)
        return Performance(
            requests=requests,
            success_rate=successes / requests if requests else None,  # a slice may hold nothing but `outlasted`
            average_response_time=sum(each.seconds for each in self._slices) / successes if successes else None,
            p50=p50,
            p95=p95,
            p99=p99,
            first_output_p50=first_output_p50,
            first_output_p95=first_output_p95,
            first_output_p99=first_output_p99,
            requests_per_minute=requests * 60.0 / self._covered(now),
            uptime_percentage=100.0 * up / busy if busy else None,
        )

    def _covered(self, now: float) -> float:
        """Return the seconds that the slices span, at least a minute: 3 requests in the first second are no 180/min."""
        begin = self._slices[0].number * self._length / _SLICES
        return max(60.0, now - begin)


def _add(times: list[float], one: dict[int, int], other: dict[int, int]) -> None:
    for place, count in counted(times, _BOUNDS):
        bucket = _FIRST + place
        one[bucket] = one.get(bucket, 0) + count
        other[bucket] = other.get(bucket, 0) + count


def _take_away(gone: dict[int, int], histogram: dict[int, int]) -> None:
    for bucket, count in gone.items():
        histogram[bucket] -= count


def _middle(bucket: int) -> float:
    """Return the value that is equally far off, relatively, from both ends of the bucket."""
    return float(2.0 * _GROWTH**bucket / (_GROWTH + 1.0))


def _percentiles(histogram: dict[int, int], *ranks: float) -> list[float | None]:
    """Return the values at the ascending `ranks` (nearest rank), or None for each when the histogram is empty."""
    total = sum(histogram.values())
    if not total:
        return [None] * len(ranks)
    found: list[float | None] = []
    seen = 0
    for bucket in sorted(histogram):
        seen += histogram[bucket]
        while len(found) < len(ranks) and seen >= ranks[len(found)] * total:
            found.append(_middle(bucket))
    return found
