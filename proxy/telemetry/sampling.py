"""Which traces are kept: decided at the head by the caller or by chance, and again at the tail by what happened."""

from functools import lru_cache

from proxy.config.snapshot import Traces
from proxy.record import Record

RATIO_BITS = 64
RATIO_SPACE = 1 << RATIO_BITS


def head(trace_id: int, ratio: float) -> bool:
    """Decide when a request begins whose caller has not decided yet, by the trace id.

    The lower 64 bits are compared with the ratio, as OpenTelemetry's `TraceIdRatioBased` does, so that every service
    that samples at the same ratio keeps the same traces.
    """
    return (trace_id & (RATIO_SPACE - 1)) < _bound(ratio)


@lru_cache(maxsize=4)
def _bound(ratio: float) -> int:
    return round(ratio * RATIO_SPACE)


def keep(record: Record, settings: Traces) -> bool:
    """Decide when the request is over: sampled at the head, or worth keeping however the dice fell."""
    if record.sampled:
        return True
    if "errors" in settings.always_keep and record.failed:
        return True
    return record.failed_over and "failovers" in settings.always_keep
