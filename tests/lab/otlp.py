"""A real OTLP receiver on 127.0.0.1, over gRPC or HTTP, that keeps what it is sent and shows it as a tree."""

import gzip
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan
from opentelemetry.proto.trace.v1.trace_pb2 import SpanFlags
from opentelemetry.proto.trace.v1.trace_pb2 import Status as WireStatus


@dataclass(frozen=True)
class ReceivedEvent:
    name: str
    at: int
    attributes: dict[str, Any]


@dataclass(frozen=True)
class ReceivedSpan:
    """One span as it arrived; ids are lower-case hex, times nanoseconds, `status` is UNSET, OK or ERROR."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    remote_parent: bool
    start: int
    end: int
    status: str
    description: str
    trace_state: str
    attributes: dict[str, Any]
    events: list[ReceivedEvent]
    resource: dict[str, Any]
    scope: str


@dataclass
class Receiver:
    """What arrived so far. Every reading takes the lock, so that tests may look while spans come in."""

    endpoint: str = ""
    paths: list[str] = field(default_factory=list)
    """Request paths (HTTP only)."""
    headers: list[dict[str, str]] = field(default_factory=list)
    """Of each request, names in lower case; over gRPC the metadata."""
    _spans: list[ReceivedSpan] = field(default_factory=list)
    _arrived: threading.Condition = field(default_factory=threading.Condition)

    @property
    def spans(self) -> list[ReceivedSpan]:
        with self._arrived:
            return list(self._spans)

    def wait_for(self, count: int, timeout: float = 10.0) -> list[ReceivedSpan]:
        """Return once at least `count` spans arrived; an AssertionError when they do not."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self._spans) >= count, timeout), (
                f"{len(self._spans)} of {count} spans arrived: {[span.name for span in self._spans]}"
            )
            return list(self._spans)

    def trace(self, trace_id: str) -> list[ReceivedSpan]:
        return [span for span in self.spans if span.trace_id == trace_id]

    def tree(self, trace_id: str) -> list[str]:
        """Return one trace as lines, indented by two spaces a level, siblings in the order of their start."""
        spans = sorted(self.trace(trace_id), key=lambda span: span.start)
        known = {span.span_id for span in spans}

        def lines(parent: str | None, depth: int) -> Iterator[str]:
            for span in spans:
                if span.parent_id == parent or (parent is None and span.parent_id not in known):
                    yield f"{'  ' * depth}{span.kind} {span.name}" + (" ERROR" if span.status == "ERROR" else "")
                    yield from lines(span.span_id, depth + 1)

        return list(lines(None, 0))

    def take(self, request: ExportTraceServiceRequest) -> None:
        with self._arrived:
            for batch in request.resource_spans:
                resource = _attributes(batch.resource.attributes)
                for scoped in batch.scope_spans:
                    self._spans += [received_span(span, resource, scoped.scope.name) for span in scoped.spans]
            self._arrived.notify_all()


@contextmanager
def grpc_receiver() -> Iterator[Receiver]:
    """Serve OTLP over gRPC on a free port; `endpoint` is `http://127.0.0.1:PORT`."""
    receiver = Receiver()

    class Service(TraceServiceServicer):
        def Export(self, request, context):  # noqa: N802  gRPC's name
            receiver.headers.append(dict(context.invocation_metadata()))
            receiver.take(request)
            return ExportTraceServiceResponse()

    server = grpc.server(ThreadPoolExecutor(max_workers=2))
    add_TraceServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    receiver.endpoint = f"http://127.0.0.1:{port}"
    server.start()
    try:
        yield receiver
    finally:
        server.stop(grace=None).wait()


@contextmanager
def http_receiver() -> Iterator[Receiver]:
    """Serve OTLP over HTTP (protobuf) on a free port; `endpoint` is `http://127.0.0.1:PORT`."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            receiver.paths.append(self.path)
            receiver.headers.append({name.lower(): value for name, value in self.headers.items()})
            receiver.take(ExportTraceServiceRequest.FromString(body))
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
            """Tests print nothing of their own accord."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def received_span(span: WireSpan, resource: dict[str, Any], scope: str) -> ReceivedSpan:
    return ReceivedSpan(
        name=span.name,
        kind=WireSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        remote_parent=bool(span.flags & SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK),
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        status=WireStatus.StatusCode.Name(span.status.code).removeprefix("STATUS_CODE_"),
        description=span.status.message,
        trace_state=span.trace_state,
        attributes=_attributes(span.attributes),
        events=[
            ReceivedEvent(event.name, event.time_unix_nano, _attributes(event.attributes)) for event in span.events
        ],
        resource=resource,
        scope=scope,
    )


def _attributes(pairs: list[KeyValue]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    return getattr(value, kind) if kind else None
