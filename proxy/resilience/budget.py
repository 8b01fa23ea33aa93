"""The retry budget of a route: how many extra attempts its requests may cause, all of them together.

Without it, retries multiply the load on providers exactly when they can bear it least (Envoy's retry budgets; the
Google SRE book, "Handling Overload").
"""

from math import floor

from proxy.config.snapshot import RetryBudget
from proxy.resilience.tally import Tally

_SPAN = 10.0
"""Seconds that the budget looks back."""
_ROUNDING = 1e-9
"""Keeps 29 % of 100 from being 28."""


class Budget:
    """Counts a route's requests and extra attempts over the last 10 s."""

    __slots__ = ("_tally",)

    def __init__(self) -> None:
        self._tally = Tally()

    def request(self, now: float) -> None:
        """Count a request; its first attempt costs nothing."""
        self._tally.add(now, _SPAN, first=1)

    def spend(self, now: float, settings: RetryBudget) -> bool:
        """Take one extra attempt out of the budget, if there is one left."""
        if self.remaining(now, settings) < 1:
            return False
        self._tally.add(now, _SPAN, second=1)
        return True

    def remaining(self, now: float, settings: RetryBudget) -> int:
        """Return how many extra attempts may still be made now."""
        requests, extra = self._tally.totals(now, _SPAN)
        allowance = max(settings.ratio * requests, settings.min * _SPAN)
        return max(0, floor(allowance + _ROUNDING) - extra)
