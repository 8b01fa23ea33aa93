"""Written traces through the SDK's batching and its OTLP exporters, which see bytes where they expect spans.

The exporters do what they always do: endpoint, headers, compression, certificates, deadline and repeats are theirs to
read and to apply, with all `OTEL_EXPORTER_OTLP_*` variables. Only the step from spans to protobuf is replaced.
"""

import logging
import threading
from collections.abc import Callable, Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from proxy.config.snapshot import Telemetry
from proxy.telemetry.kept import KeptTrace, messages

BATCH = 256
"""Traces that are sent at a time, and that wake the SDK's thread before its time."""
NOISY = (
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
)
"""The exporters' own loggers, which repeat themselves for every batch that a dead collector does not take."""

logger = logging.getLogger("sidestep.tracing")


class Sender:
    """A bounded queue of traces, and the SDK's thread that empties it."""

    def __init__(self, settings: Telemetry, version: str, instance_id: str, room: int) -> None:
        self._exporter = CountingExporter(lambda: exporter(settings, version, instance_id))
        # The queue is bounded here, in bytes; so many traces can never be in it.
        self._processor = BatchSpanProcessor(
            self._exporter, max_queue_size=room, max_export_batch_size=min(BATCH, room)
        )
        self._room = room
        self._handed = self._handed_bytes = 0
        self._refused = 0
        self._closed = False

    def has_room(self, count: int) -> bool:
        """Whether a trace of that many spans may be put in; when it may not, its spans are counted as dropped."""
        if self._handed_bytes - self._exporter.taken_bytes < self._room and not self._closed:
            return True
        self._refused += count
        return False

    def put(self, spans: bytes, count: int) -> None:
        """Put a trace of that many spans into the queue."""
        self._handed += count
        self._handed_bytes += len(spans)
        self._processor.on_end(KeptTrace(spans, count))

    @property
    def dropped(self) -> int:
        """Spans that never reached a collector: no room in the queue, not accepted, or left behind at the end."""
        left_behind = self._handed - self._exporter.taken if self._closed else 0
        return self._refused + self._exporter.lost + left_behind

    def close(self, timeout: float) -> None:
        """Send what is left, for at most `timeout` seconds; blocks, so call it off the event loop."""
        if self._closed:
            return
        self._closed = True
        # The SDK's own shutdown waits for up to 30 s, and an export under way cannot be told to hurry.
        last = threading.Thread(target=self._processor.shutdown, name="sidestep-spans-close", daemon=True)
        last.start()
        last.join(timeout * 0.75)
        if last.is_alive():
            self._exporter.shutdown()
            last.join(timeout * 0.25)


class CountingExporter(SpanExporter):
    """Counts what an exporter takes and loses, and says once when the collector stops or starts answering."""

    def __init__(self, make: Callable[[], SpanExporter]) -> None:
        """Take how to make the exporter, which is done when there is something to send."""
        self.taken = 0
        """Spans that left the queue."""
        self.taken_bytes = 0
        """What those spans took up in it."""
        self.lost = 0
        """Spans that left the queue and were not accepted."""
        self._make = make
        self._inner: SpanExporter | None = None
        self._failing = False
        self._closed = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send one batch, on the SDK's thread."""
        traces = [trace for trace in spans if isinstance(trace, KeptTrace)]
        self.taken += sum(trace.count for trace in traces)
        self.taken_bytes += sum(len(trace.spans) for trace in traces)
        results = {self._send(message) for message in messages(traces)}
        return SpanExportResult.FAILURE if SpanExportResult.FAILURE in results else SpanExportResult.SUCCESS

    def _send(self, traces: Sequence[KeptTrace]) -> SpanExportResult:
        result = SpanExportResult.FAILURE
        try:
            if not self._closed.is_set():
                self._inner = self._inner or self._make()
                with _Hush():
                    result = self._inner.export(traces)
        finally:  # the SDK tells of an exporter that cannot be made, or cannot send
            self._count(traces, failed=result is not SpanExportResult.SUCCESS)
        return result

    def _count(self, traces: Sequence[KeptTrace], *, failed: bool) -> None:
        if failed:
            self.lost += sum(trace.count for trace in traces)
        if failed is not self._failing:
            self._failing = failed
            message = "span export is failing; spans are dropped" if failed else "span export works again"
            logger.log(logging.WARNING if failed else logging.INFO, message)

    def shutdown(self) -> None:
        """Abandon whatever is under way; safe to call twice."""
        if not self._closed.is_set():
            self._closed.set()
            if self._inner:
                self._inner.shutdown()


class _Hush(logging.Filter):
    """Keeps the exporters' loggers quiet on this thread only, so that another user of them in the process is heard."""

    def __enter__(self) -> None:
        self.thread = threading.get_ident()
        for name in NOISY:
            logging.getLogger(name).addFilter(self)

    def __exit__(self, *_: object) -> None:
        for name in NOISY:
            logging.getLogger(name).removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        return record.thread != self.thread


def exporter(settings: Telemetry, version: str, instance_id: str) -> SpanExporter:
    """Build the exporter that the configuration asks for.

    Imported here, on the SDK's thread, when the first trace is to be sent: over gRPC that is a quarter of the program's
    memory and of its start, and a sidecar that keeps few traces may never need it.
    """
    from proxy.telemetry.envelope import envelope  # noqa: PLC0415

    traces = settings.traces
    encode = envelope(settings.service_name, version, instance_id).around
    endpoint = traces.endpoint if "://" in traces.endpoint else f"http://{traces.endpoint}"
    if traces.protocol == "grpc":
        from proxy.telemetry.over_grpc import GrpcExporter  # noqa: PLC0415

        return GrpcExporter(endpoint, encode)
    from proxy.telemetry.over_http import HttpExporter  # noqa: PLC0415

    return HttpExporter(endpoint, encode)
