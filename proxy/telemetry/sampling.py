"""Which traces are kept: decided at the head by the caller or by chance, and again at the tail by what happened."""

from proxy.config.snapshot import Traces
from proxy.record import Record

RATIO_BITS = 64
RATIO_SPACE = 1 << RATIO_BITS


def head(trace_id: int, ratio: float, *, caller: bool | None = None) -> bool:
    """Decide when the request begins: the caller's decision when it sent one, else by the trace id.

    The lower 64 bits are compared with the ratio, as OpenTelemetry's `TraceIdRatioBased` does, so that every service
    that samples at the same ratio keeps the same traces.
    """
    if caller is not None:
        return caller
    return (trace_id & (RATIO_SPACE - 1)) < round(ratio * RATIO_SPACE)


def keep(record: Record, settings: Traces) -> bool:
    """Decide when the request is over: sampled at the head, or worth keeping however the dice fell."""
    if record.sampled:
        return True
    if "errors" in settings.always_keep and record.failed:
        return True
    return "failovers" in settings.always_keep and bool(record.failovers)
