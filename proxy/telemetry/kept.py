"""Traces that are written already, on their way through the SDK's queue."""

from collections.abc import Iterable, Iterator

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, TraceFlags

MOST_BYTES = 1 << 20
"""Bytes of spans in one message, unless a single trace has more. A collector takes 4 MiB, if not told otherwise."""


class KeptTrace(ReadableSpan):
    """One whole trace in the SDK's queue: its spans are written already, so it has none of a span's properties."""

    context = SpanContext(1, 1, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    """The processor passes on what is sampled; which trace it is, only the bytes know."""

    def __init__(self, spans: bytes, count: int) -> None:  # the base class would look for a resource each time
        self.spans = spans
        """As `ScopeSpans` holds them."""
        self.count = count


def messages(traces: Iterable[KeptTrace], most: int = MOST_BYTES) -> Iterator[list[KeptTrace]]:
    """Divide a batch into what goes into one message: at most that many bytes of spans, and at least one trace."""
    message: list[KeptTrace] = []
    size = 0
    for trace in traces:
        if message and size + len(trace.spans) > most:
            yield message
            message, size = [], 0
        message.append(trace)
        size += len(trace.spans)
    if message:
        yield message
