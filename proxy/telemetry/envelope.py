"""Traces that are written already, and what is written around them: one `ExportTraceServiceRequest`."""

from collections.abc import Iterable, Iterator, Sequence

from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import BytesValue
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, TraceFlags
from opentelemetry.version import __version__ as otel_version

from proxy.telemetry import otlp

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


class Envelope:
    """What is the same around all spans of this process: the resource and the scope, as the SDK writes them."""

    def __init__(self, resource: Resource, scope: InstrumentationScope) -> None:
        sample = ReadableSpan("", context=KeptTrace.context, resource=resource, instrumentation_scope=scope)
        (around,) = encode_spans([sample]).resource_spans
        (within,) = around.scope_spans
        within.ClearField("spans")
        self._scope = within.SerializeToString()
        around.ClearField("scope_spans")
        self._resource = around.SerializeToString()

    def around(self, traces: Sequence[ReadableSpan]) -> Message:
        """Make what an `ExportTraceServiceRequest` of these traces is on the wire.

        That message has one field, number 1, and so has a `BytesValue`, for which nothing needs to be parsed first.
        """
        spans = [trace.spans for trace in traces if isinstance(trace, KeptTrace)]
        return BytesValue(value=self._resource + otlp.field(2, b"".join([self._scope, *spans])))


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
