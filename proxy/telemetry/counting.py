"""Counters and histograms that cost a dictionary look-up, and become Prometheus' families when somebody asks.

`prometheus_client`'s own take a lock for every step and three or four calls for each. Everything here happens on one
event loop, so plain numbers in a dictionary count as well: by the values of the labels, in the labels' order, or by the
bare value where there is only one label.
"""

from itertools import accumulate
from math import inf

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.utils import floatToGoString

from proxy.resilience.buckets import counted

Values = str | tuple[str, ...]
"""What the labels of one series say."""


class Counts(dict[Values, float]):
    """A counter: `requests["chat", "ok"] += 1`. A series exists from the first time on that it is counted."""

    def __init__(self, name: str, documentation: str, *labels: str) -> None:
        super().__init__()
        self._name = name
        self._documentation = documentation
        self._labels = labels

    def __missing__(self, values: Values) -> float:
        return 0

    def family(self) -> CounterMetricFamily:
        """The counter as it stands now."""
        family = CounterMetricFamily(self._name, self._documentation, labels=self._labels)
        for values, count in self.items():
            family.add_metric(_listed(values), count)
        return family


class Spread:
    """One series of a histogram: how often, in total, and how often between two bounds.

    An observation is only put down; whoever adds many has them counted with some hundred others.
    """

    __slots__ = ("_bounds", "_counts", "_new", "_total", "add")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        """By the first bound that is not exceeded; the last one is for what exceeds all."""
        self._total = 0.0
        self._new: list[float] = []
        self.add = self._new.append
        """Take one observation."""

    def count(self) -> None:
        """Count what was put down."""
        for place, often in counted(self._new, self._bounds):
            self._counts[place] += often
        for value in self._new:
            self._total += value
        self._new.clear()

    def told(self) -> tuple[list[int], float]:
        """How many observations exceed no bound, bound by bound and at last in all; and their sum."""
        self.count()
        return list(accumulate(self._counts)), self._total


class Spreads(dict[Values, Spread]):
    """A histogram: `durations["chat"].add(0.3)`."""

    def __init__(self, name: str, documentation: str, bounds: tuple[float, ...], *labels: str) -> None:
        super().__init__()
        self._name = name
        self._documentation = documentation
        self._bounds = bounds
        self._labels = labels

    def __missing__(self, values: Values) -> Spread:
        spread = self[values] = Spread(self._bounds)
        return spread

    def count(self) -> None:
        """Count what was put down."""
        for spread in self.values():
            spread.count()

    def family(self) -> HistogramMetricFamily:
        """The histogram as it stands now."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=self._labels)
        names = [floatToGoString(each) for each in (*self._bounds, inf)]  # type: ignore[no-untyped-call]  # it has none
        for values, spread in self.items():
            counts, total = spread.told()
            family.add_metric(_listed(values), list(zip(names, counts, strict=True)), total)
        return family


def _listed(values: Values) -> list[str]:
    """As the library takes them; an enumeration's member is told by its value."""
    return [str(values)] if isinstance(values, str) else [str(value) for value in values]
