"""All telemetry of one process behind one door: identities out, finished records in."""

import threading
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version

from proxy.clock import Clock
from proxy.config.snapshot import Snapshot
from proxy.config.snapshot import Telemetry as Settings
from proxy.messages import Request
from proxy.record import Record
from proxy.registry import Registry
from proxy.telemetry.gauges import Reading
from proxy.telemetry.logs import log_changes, log_requests
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.propagation import TRACE_BITS, parse_traceparent, parse_tracestate
from proxy.telemetry.reading import reading
from proxy.telemetry.sampling import head
from proxy.telemetry.summary import Summary, summary_of
from proxy.telemetry.tracing import Tracing

Watch = Callable[[Sequence[Record], Sequence[Summary]], None]
"""Whoever looks on: is told of finished requests, and of what each amounts to."""


class Telemetry:
    """Owns tracing and metrics, and writes the request's log line. Made after the fork, closed off the event loop."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        clock: Clock,
        snapshot: Callable[[], Snapshot],
        log_lines_dropped: Callable[[], int] = int,
        log_requests: Callable[[Sequence[Summary]], None] = log_requests,
        watch: Watch | None = None,
    ) -> None:
        self._registry = registry
        self._clock = clock
        self._snapshot = snapshot
        self._log_lines_dropped = log_lines_dropped
        self._log_requests = log_requests
        self._watch = watch
        own = version("sidestep")
        self.tracing = Tracing(settings, version=own, bits=clock.bits)
        self.metrics = Metrics(self._read, version=own)

    def new_record(
        self, request: Request, headers: Mapping[str, str], started: float, client_address: str = ""
    ) -> Record:
        """Begin a record: in the caller's trace when `headers` (lower-case names) name one, else in a new one.

        `started` is monotonic seconds, and a moment ago: the wall clock is read now, for every request, so that one
        that was set meanwhile is right from the next request on. `tracestate` counts only beside a valid `traceparent`.
        """
        told = headers.get("traceparent")
        parent = None if told is None else parse_traceparent(told)
        trace_id = self._clock.bits(TRACE_BITS) if parent is None else parent.trace_id
        return Record(
            request=request,
            trace_id=trace_id.to_bytes(16).hex(),
            started=started,
            wall_offset=self._clock.wall() - started,
            parent_span_id=None if parent is None else parent.span_id,
            trace_state="" if parent is None else parse_tracestate(headers.get("tracestate")),
            sampled=head(trace_id, self.tracing.settings.traces.sample) if parent is None else parent.sampled,
            client_address=client_address,
        )

    def observe(self, records: Sequence[Record]) -> None:
        """Tell everyone about finished requests; metrics first, because they must always add up."""
        self.metrics.observe(records)
        summaries = [summary_of(record) for record in records]
        if self._watch is not None:
            self._watch(records, summaries)
        for record in records:
            for attempt in record.attempts:
                if attempt.events:
                    log_changes(attempt)
        self._log_requests(summaries)
        trace = self.tracing.finish
        for record in records:
            trace(record)

    def adopt(self, settings: Settings) -> None:
        """Take over reloaded settings; the old exporter sends what it still has on a thread of its own."""
        replaced = self.tracing
        self.tracing = Tracing(settings, version=version("sidestep"), bits=self._clock.bits)
        threading.Thread(target=replaced.close, name="sidestep-spans-replaced", daemon=True).start()

    def close(self) -> None:
        """Send the last spans; blocks for at most two seconds."""
        self.tracing.close()

    def _read(self) -> Reading:
        return reading(
            self._registry,
            self._snapshot(),
            self._clock.now(),
            spans_dropped=self.tracing.dropped,
            log_lines_dropped=self._log_lines_dropped(),
        )
