"""The spans of a record as the SDK's own classes build them: what `proxy.telemetry.spans` must amount to."""

from collections.abc import Sequence
from dataclasses import dataclass

from lab import sdk_attributes as attributes
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event as SpanEvent
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.span import TraceState

from proxy.errors import Failure
from proxy.messages import ENDPOINTS
from proxy.record import Attempt, Event, Record, Step
from proxy.telemetry.content import content
from proxy.telemetry.facts import bounded, error_type
from proxy.telemetry.propagation import Bits, new_span_id

SAMPLED = TraceFlags(TraceFlags.SAMPLED)
UNSET = Status(StatusCode.UNSET)
MAX_EVENTS = 128
"""Events of one span; OpenTelemetry's own default limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SdkSpanMaker:
    """Turns records into spans for one resource."""

    resource: Resource
    scope: InstrumentationScope
    bits: Bits
    """Random bits for the ids of all spans but the attempts', which nobody needs before the trace is kept."""
    content: bool = False
    """Whether prompts and answers are told."""

    def spans(self, record: Record) -> list[ReadableSpan]:
        """All spans of one request, parents first."""
        trace = _Trace(self, record)
        return [trace.server(), trace.operation(), *map(trace.step, record.steps), *map(trace.attempt, record.attempts)]


class _Trace:
    """One conversion: the record, and the ids of the spans that others hang from."""

    def __init__(self, maker: SdkSpanMaker, record: Record) -> None:
        self.maker = maker
        self.record = record
        self.state = TraceState.from_header([record.trace_state]) if record.trace_state else TraceState()
        self.server_id = new_span_id(maker.bits)
        self.operation_id = new_span_id(maker.bits)

    def server(self) -> ReadableSpan:
        record = self.record
        path = record.request.path
        failed = attributes.server_error(record)
        return self.span(
            f"POST {path}" if path in ENDPOINTS else "POST",
            SpanKind.SERVER,
            span_id=self.server_id,
            parent_id=record.parent_span_id,
            started=record.started,
            ended=record.ended,
            attributes=attributes.server(record),
            status=_status(failed, record.broken),
        )

    def operation(self) -> ReadableSpan:
        record = self.record
        told = attributes.operation(record)
        if self.maker.content:
            told |= content(record)
        model = bounded(record.request.model, attributes.MAX_MODEL)
        return self.span(
            f"{record.request.operation.value} {model}".rstrip(),
            SpanKind.INTERNAL,
            span_id=self.operation_id,
            parent_id=self.server_id,
            started=record.started,
            ended=record.ended,
            attributes=told,
            status=_status(error_type(record), record.broken),
            events=record.events,
        )

    def step(self, step: Step) -> ReadableSpan:
        error = None if self.record.cancelled else step.error
        return self.span(
            step.name,
            SpanKind.INTERNAL,
            span_id=new_span_id(self.maker.bits),
            parent_id=self.operation_id,
            started=step.started,
            ended=step.ended,
            attributes=attributes.clean({**step.attributes, "error.type": error}),
            status=_status(error, None),
        )

    def attempt(self, call: Attempt) -> ReadableSpan:
        return self.span(
            f"{call.method} {call.template}".rstrip(),
            SpanKind.CLIENT,
            span_id=call.span_id,
            parent_id=self.operation_id,
            started=call.started,
            ended=call.ended,
            attributes=attributes.attempt(self.record, call),
            status=_status(attributes.attempt_error(call), call.failure),
            events=call.events,
        )

    def span(
        self,
        name: str,
        kind: SpanKind,
        *,
        span_id: int,
        parent_id: int | None,
        started: float,
        ended: float,
        attributes: attributes.Attributes,
        status: Status,
        events: Sequence[Event] = (),
    ) -> ReadableSpan:
        """Put one span together. What was never closed ends with the request."""
        record = self.record
        is_remote = kind is SpanKind.SERVER
        return ReadableSpan(
            name=name,
            kind=kind,
            context=SpanContext(
                int(record.trace_id, 16), span_id, is_remote=False, trace_flags=SAMPLED, trace_state=self.state
            ),
            parent=(
                SpanContext(int(record.trace_id, 16), parent_id, is_remote=is_remote, trace_flags=SAMPLED)
                if parent_id is not None
                else None
            ),
            resource=self.maker.resource,
            instrumentation_scope=self.maker.scope,
            attributes=attributes,
            status=status,
            events=[self.event(event) for event in events[:MAX_EVENTS]],
            start_time=self.nanoseconds(started),
            end_time=self.nanoseconds(max(started, ended or record.ended)),
        )

    def event(self, event: Event) -> SpanEvent:
        return SpanEvent(event.name, attributes.clean(event.attributes), self.nanoseconds(event.at))

    def nanoseconds(self, moment: float) -> int:
        """Monotonic seconds as nanoseconds since the epoch."""
        return max(0, int((moment + self.record.wall_offset) * 1e9))


def _status(error: str | None, failure: Failure | None) -> Status:
    """Error when there is an `error.type`; described only when the HTTP status does not already say it."""
    if error is None:
        return UNSET
    explained = failure is None or (failure.status is not None and failure.status >= 400)
    return Status(StatusCode.ERROR, None if explained or failure is None else bounded(failure.message, 500))
