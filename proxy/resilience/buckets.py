"""Many values counted into the buckets of a histogram at once: sorted, they are counted by the bucket, not singly."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence


def counted(values: Sequence[float], bounds: Sequence[float]) -> Iterator[tuple[int, int]]:
    """Yield each bucket that values fall into, and how many; a bucket is named by the place of its bound.

    It reaches up to that bound, which belongs to it; the one behind the last bound takes whatever is larger.
    """
    ordered = sorted(values)
    begin = 0
    while begin < len(ordered):
        bucket = bisect_left(bounds, ordered[begin])
        end = bisect_right(ordered, bounds[bucket], begin) if bucket < len(bounds) else len(ordered)
        yield bucket, end - begin
        begin = end
