"""When to ask a second provider although the first may still answer ("The Tail at Scale", Dean and Barroso, 2013)."""

from proxy.config.snapshot import Hedge, Quantile
from proxy.messages import Operation, Request
from proxy.resilience.window import Performance, Window

MIN_HISTORY = 20
"""Attempts in a provider's window before one of its quantiles means anything: p95 of fewer is just the slowest."""


def may_hedge(request: Request, settings: Hedge, *, replay: str) -> bool:
    """Say whether this request may be at two providers at once. `replay` is the policy's `retry.replay`.

    Tools may have effects, and an image that is made twice is paid twice; state that lives at one provider is pinned
    to it.
    """
    if request.pinned or replay == "never" or (request.tools and not settings.tools):
        return False
    return request.operation is not Operation.IMAGES or replay == "always"


def hedge_delay(settings: Hedge, window: Window, now: float) -> float | None:
    """Return the seconds after which the second provider is asked; None while too little is known of the first."""
    if not isinstance(settings.delay, Quantile):
        return settings.delay
    seen = window.performance(now)
    return _quantile(seen, settings.delay) if seen.requests >= MIN_HISTORY else None


def _quantile(seen: Performance, wanted: Quantile) -> float | None:
    match wanted:
        case Quantile.P50:
            return seen.first_output_p50
        case Quantile.P95:
            return seen.first_output_p95
        case Quantile.P99:
            return seen.first_output_p99
