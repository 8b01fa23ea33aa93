"""What is told of a finished request, by its log line and to those who watch: never its content."""

from datetime import UTC, datetime
from functools import lru_cache

from msgspec import UNSET, Struct, UnsetType

from proxy.errors import AttemptSummary
from proxy.record import Record, milliseconds
from proxy.telemetry.facts import MAX_MODEL, bounded, error_type

LOGGER = "sidestep.request"


class Summary(Struct, frozen=True, gc=False):
    """One request, in the words and the order of its log line; what is unknown is left out."""

    time: str
    """Of its end, to the millisecond."""
    level: str
    logger: str
    message: str
    request_id: str
    trace_id: str
    route: str | UnsetType
    operation: str
    model: str | UnsetType
    """As the client wrote it, cut to 100 characters."""
    stream: bool | UnsetType
    provider: str | UnsetType
    """Who answered."""
    status: int
    outcome: str
    error: str | UnsetType
    attempts: list[AttemptSummary]
    failover: bool
    degraded: str | UnsetType
    cache: str | UnsetType
    ms: float
    first_output_ms: float | UnsetType
    input_tokens: int | UnsetType
    output_tokens: int | UnsetType
    bytes: int
    generation: str | UnsetType


def summary_of(record: Record) -> Summary:
    """Sum a finished request up; tokens are the sum of what its attempts told."""
    request, started, first = record.request, record.started, record.first_output_at
    asked: int | UnsetType = UNSET
    answered: int | UnsetType = UNSET
    for attempt in record.attempts:
        facts = attempt.facts
        if facts.input_tokens is not None:
            asked = facts.input_tokens + (asked or 0)
        if facts.output_tokens is not None:
            answered = facts.output_tokens + (answered or 0)
    return Summary(  # in the order of the fields
        iso_time(record.ended + record.wall_offset),
        _level(record),
        LOGGER,
        "request",
        request.id,
        record.trace_id,
        record.route or UNSET,
        request.operation,
        bounded(request.model, MAX_MODEL) or UNSET,
        request.stream or UNSET,
        record.provider or UNSET,
        record.status,
        record.outcome,
        UNSET if record.error is None and record.broken is None else error_type(record) or UNSET,
        [attempt.summary() for attempt in record.attempts],
        record.failed_over,
        record.degraded or UNSET,
        record.cache or UNSET,
        milliseconds(record.ended - started),
        UNSET if first is None else milliseconds(first - started),
        asked,
        answered,
        record.response_bytes,
        record.generation or UNSET,
    )


def _level(record: Record) -> str:
    """`error` when the client was failed, `warning` when it took more than the first provider, else `info`."""
    if record.failed:
        return "error"
    return "warning" if record.degraded or record.failed_over else "info"


_REST = tuple(f".{millisecond:03}Z" for millisecond in range(1000))


def iso_time(wall: float) -> str:
    """`2027-01-15T08:00:02.310Z`; `wall` is epoch seconds, what is below the millisecond is cut off."""
    second, rest = divmod(int(wall * 1000 + 0.0008), 1000)  # 0.0008 ms: what a float of today may be off by
    return _second(second) + _REST[rest]


@lru_cache(maxsize=16)
def _second(wall: int) -> str:
    """Requests that end within one second share all of their time but its end."""
    return datetime.fromtimestamp(wall, UTC).isoformat()[:19]
