"""A finished `Record` as a tree of spans.

    SERVER    POST /v1/chat/completions
    └ INTERNAL  chat {model}                  the logical operation
       ├ INTERNAL  strategy, breaker, ...     one per step
       └ CLIENT    POST {template}            one per upstream attempt

The spans are built as finished values, with the identifiers and times that the record holds: there is no tracer, no
context and no span before the trace is known to be kept, so a trace that is dropped costs nothing.

Status follows the HTTP conventions: a 4xx is an error on the CLIENT span and none on the SERVER span; a failure that
was recovered from is an error on its attempt's span alone; the client's leaving is never an error.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from proxy.errors import Failure
from proxy.record import Attempt, Event, Record, Step
from proxy.telemetry import attributes, otlp
from proxy.telemetry.content import content
from proxy.telemetry.facts import error_type
from proxy.telemetry.propagation import Bits

MAX_EVENTS = 128
"""Events of one span; OpenTelemetry's own default limit."""
MAX_DESCRIPTION = 500
"""Characters of a status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanMaker:
    """Turns records into spans."""

    bits: Bits
    """Random bits for the ids of all spans but the attempts', which nobody needs before the trace is kept."""
    content: bool = False
    """Whether prompts and answers are told."""

    def spans(self, record: Record) -> bytes:
        """Write all spans of one request, parents first, as `ScopeSpans` holds them."""
        trace = _Trace(self, record)
        return b"".join([trace.server(), trace.operation(), *trace.steps(), *trace.attempts()])


class _Trace:
    """One conversion: the record, and the ids of the spans that others hang from."""

    def __init__(self, maker: SpanMaker, record: Record) -> None:
        self.record = record
        self.content = maker.content
        self.trace = otlp.trace(record.trace_id, record.trace_state)
        self.offset = max(record.wall_offset, -record.started)
        """From monotonic seconds to the epoch's; a wall clock that stands before the epoch counts as the epoch."""
        self.answers = [attributes.answer(call.facts) for call in record.attempts]
        self.server_id = maker.bits(63)
        self.operation_id = self.server_id + 1

    def server(self) -> bytes:
        record = self.record
        started, ended = self.times(record)
        if record.parent_span_id is None:
            place = otlp.root(self.server_id, started, ended)
        else:
            place = otlp.child(self.server_id, otlp.swapped(record.parent_span_id), started, ended)
        status = _status(attributes.server_error(record), record.broken)
        return otlp.span(self.trace, place, attributes.server(record), status)

    def operation(self) -> bytes:
        record = self.record
        served = record.served()
        return otlp.span(
            self.trace,
            otlp.child(self.operation_id, self.server_id, *self.times(record)),
            attributes.operation(record),
            self.answers[record.attempts.index(served)] if served else b"",
            otlp.attributes(content(record), limit=None) if self.content else b"",
            self.events(record.events),
            _status(error_type(record), record.broken),
        )

    def steps(self) -> Iterator[bytes]:
        parent_id = self.operation_id
        for span_id, step in enumerate(self.record.steps, parent_id + 1):
            error = None if self.record.cancelled else step.error
            yield otlp.span(
                self.trace,
                otlp.child(span_id, parent_id, *self.times(step)),
                attributes.step(step.name),
                otlp.attributes(step.attributes) if step.attributes else b"",
                otlp.UNSET if error is None else otlp.attribute("error.type", error) + otlp.error(None),
            )

    def attempts(self) -> Iterator[bytes]:
        for call, answered in zip(self.record.attempts, self.answers, strict=True):
            yield otlp.span(
                self.trace,
                otlp.child(otlp.swapped(call.span_id), self.operation_id, *self.times(call)),
                attributes.attempt(self.record, call),
                answered,
                self.events(call.events),
                _status(attributes.attempt_error(call), call.failure),
            )

    def times(self, timed: Record | Step | Attempt) -> tuple[float, float]:
        """Both ends in seconds since the epoch; what was never closed ends with the request."""
        ended = timed.ended or self.record.ended
        return timed.started + self.offset, max(timed.started, ended) + self.offset

    def events(self, events: Sequence[Event]) -> bytes:
        if not events:
            return b""
        offset = self.offset
        return b"".join([otlp.event(each.name, each.at + offset, each.attributes) for each in events[:MAX_EVENTS]])


def _status(error: str | None, failure: Failure | None) -> bytes:
    """Error when there is an `error.type`; described only when the HTTP status does not already say it."""
    if error is None:
        return otlp.UNSET
    explained = failure is None or (failure.status is not None and failure.status >= 400)
    return otlp.error(None if explained or failure is None else failure.message[:MAX_DESCRIPTION])
