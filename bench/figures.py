"""What several rounds say together: the median, the spread, and the ratio to whoever played the same rounds."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Told:
    """One figure over all rounds."""

    median: float
    least: float
    most: float


def tell(series: Sequence[float]) -> Told:
    """Median and spread of at least one round."""
    return Told(statistics.median(series), min(series), max(series))


def ratio(series: Sequence[float], base: Sequence[float]) -> float | None:
    """The median of the ratios round by round: a machine that slows down slows both. None where there is no such thing.

    Rounds that one of the two has not played do not count; nor does a base of nothing.
    """
    found = [own / other for own, other in zip(series, base, strict=False) if other]
    return statistics.median(found) if found else None
