"""What is written around traces: one `ExportTraceServiceRequest`, with the resource and the scope."""

from collections.abc import Sequence

from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import BytesValue
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.version import __version__ as otel_version

from proxy.telemetry import otlp
from proxy.telemetry.kept import KeptTrace


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


def envelope(service_name: str, version: str, instance_id: str) -> Envelope:
    """What is written around the traces of this process."""
    return Envelope(resource(service_name, version, instance_id), InstrumentationScope("sidestep", version))
