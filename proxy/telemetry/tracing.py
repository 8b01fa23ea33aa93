"""Spans on their way to a collector, which may be dead, slow or hanging: that costs spans and nothing else.

A kept record is turned into spans and put into a bounded queue; the SDK's own daemon thread batches and sends them.
When the queue is full a whole trace is dropped and counted. `OTEL_*` variables of the exporter (headers, timeout,
compression, certificates) and of the batching (`OTEL_BSP_SCHEDULE_DELAY`) are the SDK's to read.
"""

import logging
import os
import threading
from collections.abc import Sequence
from urllib.parse import urlsplit, urlunsplit

from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.version import __version__ as otel_version

from proxy.config.snapshot import Telemetry, Traces
from proxy.record import Record
from proxy.telemetry.propagation import Bits
from proxy.telemetry.sampling import keep
from proxy.telemetry.spans import SpanMaker

QUEUE = 4096
"""Spans that may wait for the collector; at some 2 KiB each, 8 MiB at worst."""
BATCH = 512
"""Spans sent at a time; OpenTelemetry's own default."""
CLOSE_TIMEOUT = 2.0
"""Seconds that the last spans get when the program ends."""
NOISY = (
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
)
"""The exporters' own loggers, which repeat themselves for every batch that a dead collector does not take."""

logger = logging.getLogger("sidestep.tracing")


class Tracing:
    """Exports the traces that are kept. Without an endpoint it does nothing.

    It starts a thread, so with several worker processes each makes its own after the fork.
    """

    def __init__(
        self, settings: Telemetry, *, version: str, bits: Bits, instance_id: str = "", queue: int = QUEUE
    ) -> None:
        self.settings = settings
        self._processor: BatchSpanProcessor | None = None
        self._exporter: CountingExporter | None = None
        self._queue = queue
        self._handed = 0
        self._refused = 0
        if not enabled(settings.traces):
            return
        self._maker = SpanMaker(
            resource=resource(settings.service_name, version, instance_id or f"{bits(128):032x}"),
            scope=InstrumentationScope("sidestep", version),
            bits=bits,
            content=settings.content,
        )
        self._exporter = CountingExporter(exporter(settings.traces))
        self._processor = BatchSpanProcessor(
            self._exporter, max_queue_size=queue, max_export_batch_size=min(BATCH, queue)
        )

    def finish(self, record: Record) -> None:
        """Take a finished record; never blocks and never raises for what a collector does."""
        processor = self._processor
        if processor is None or not keep(record, self.settings.traces):
            return
        count = 2 + len(record.steps) + len(record.attempts)
        if self._waiting + count > self._queue:
            self._refused += count
            return
        self._handed += count
        for span in self._maker.spans(record):
            processor.on_end(span)

    @property
    def dropped(self) -> int:
        """Spans that never reached a collector: no room in the queue, or not accepted."""
        if self._exporter is None:
            return 0
        left_behind = 0 if self._processor else self._waiting
        return self._refused + self._exporter.lost + left_behind

    @property
    def _waiting(self) -> int:
        """Spans in the queue."""
        return self._handed - self._exporter.taken if self._exporter else 0

    def close(self, timeout: float = CLOSE_TIMEOUT) -> None:
        """Send what is left, for at most `timeout` seconds; blocks, so call it off the event loop."""
        processor, self._processor = self._processor, None
        if processor is None or self._exporter is None:
            return
        # The SDK's own shutdown waits for up to 30 s, and an export under way cannot be told to hurry.
        last = threading.Thread(target=processor.shutdown, name="sidestep-spans-close", daemon=True)
        last.start()
        last.join(timeout * 0.75)
        if last.is_alive():
            self._exporter.shutdown()
            last.join(timeout * 0.25)


class CountingExporter(SpanExporter):
    """Counts what an exporter takes and loses, and says once when the collector stops or starts answering."""

    def __init__(self, inner: SpanExporter) -> None:
        self.taken = 0
        """Spans that left the queue."""
        self.lost = 0
        """Spans that left the queue and were not accepted."""
        self._inner = inner
        self._failing = False
        self._closed = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send one batch, on the SDK's thread."""
        self.taken += len(spans)
        result = SpanExportResult.FAILURE
        if not self._closed.is_set():
            with _Hush():
                result = self._inner.export(spans)
        failed = result is not SpanExportResult.SUCCESS
        if failed:
            self.lost += len(spans)
        if failed is not self._failing:
            self._failing = failed
            message = "span export is failing; spans are dropped" if failed else "span export works again"
            logger.log(logging.WARNING if failed else logging.INFO, message)
        return result

    def shutdown(self) -> None:
        """Abandon whatever is under way; safe to call twice."""
        if not self._closed.is_set():
            self._closed.set()
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


def enabled(traces: Traces) -> bool:
    """Whether anything is exported at all; `OTEL_SDK_DISABLED=true` is the standard's own switch."""
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return traces.exporter == "otlp" and bool(traces.endpoint) and not disabled


def resource(service_name: str, version: str, instance_id: str) -> Resource:
    """Describe this process. `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME` win over the configuration."""
    ours = Resource(
        {
            "service.name": service_name,
            "service.version": version,
            "service.instance.id": instance_id,
            "telemetry.sdk.language": "python",
            "telemetry.sdk.name": "opentelemetry",
            "telemetry.sdk.version": otel_version,
        }
    )
    return ours.merge(OTELResourceDetector().detect())


def exporter(traces: Traces) -> SpanExporter:
    """Build the exporter that the configuration asks for.

    Imported here, because a quarter of the program's start would go into what most of its users never turn on.
    """
    endpoint = traces.endpoint if "://" in traces.endpoint else f"http://{traces.endpoint}"
    if traces.protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter  # noqa: PLC0415

        return GrpcExporter(endpoint=endpoint)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter  # noqa: PLC0415

    return HttpExporter(endpoint=signal_endpoint(endpoint))


def signal_endpoint(endpoint: str) -> str:
    """Add OTLP's path for traces to a URL that names a host only; a URL with a path is used as it is."""
    parts = urlsplit(endpoint)
    return endpoint if parts.path.strip("/") else urlunsplit(parts._replace(path="/v1/traces"))
