"""The log line of one finished request.

Requests are most of what is logged, so the line has a shape of its own, which is written in C, and not the dictionary
that all other lines are made of.
"""

import json
import logging
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from msgspec import UNSET, Struct, UnsetType, field, to_builtins
from msgspec.json import Encoder

from proxy.record import Attempt, Record, milliseconds
from proxy.telemetry.facts import bounded, error_type

LOGGER = "sidestep.request"
MAX_MODEL = 100
DELETE = b"\x7f"
"""The one control character that JSON does not escape."""
LEVELS = {logging.INFO: "info", logging.WARNING: "warning", logging.ERROR: "error"}


class Rung(Struct, omit_defaults=True):
    """One attempt."""

    provider: str
    ending: str = field(name="class")
    """The error class that it ended in, or `ok`."""
    ms: float
    status: int | None = None


class Line(Struct):
    """All that it can tell, in this order; what is unknown is left out."""

    time: str
    level: str
    logger: str
    message: str
    request_id: str
    trace_id: str
    route: str | UnsetType
    operation: str
    model: str | UnsetType
    stream: bool | UnsetType
    provider: str | UnsetType
    status: int
    outcome: str
    error: str | UnsetType
    attempts: list[Rung]
    failover: bool
    degraded: str | UnsetType
    cache: str | UnsetType
    ms: float
    first_output_ms: float | UnsetType
    input_tokens: int | UnsetType
    output_tokens: int | UnsetType
    bytes: int
    generation: str | UnsetType


_encode = Encoder().encode
_escaped = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def request_level(record: Record) -> int:
    """ERROR when the client was failed, WARNING when it took more than the first provider, else INFO."""
    if record.failed:
        return logging.ERROR
    return logging.WARNING if record.degraded or record.failed_over else logging.INFO


def request_log(record: Record) -> dict[str, Any]:
    """What the line tells beside logger and message, for whoever does not write JSON."""
    fields: dict[str, Any] = json.loads(request_line(record, request_level(record)))
    del fields["logger"], fields["message"]
    return fields


def request_line(record: Record, level: int) -> str:
    """One JSON object in plain ASCII, every control character escaped."""
    line = line_of(record, level)
    try:
        written = _encode(line)
    except UnicodeEncodeError:  # half an emoji
        written = DELETE
    if written.isascii() and DELETE not in written:
        return written.decode()
    return _escaped(to_builtins(line)).replace("\x7f", "\\u007f")


def line_of(record: Record, level: int) -> Line:
    """What the line tells; tokens are the sum of what the attempts told."""
    request, started, first = record.request, record.started, record.first_output_at
    asked: int | UnsetType = UNSET
    answered: int | UnsetType = UNSET
    for attempt in record.attempts:
        facts = attempt.facts
        if facts.input_tokens is not None:
            asked = facts.input_tokens + (asked or 0)
        if facts.output_tokens is not None:
            answered = facts.output_tokens + (answered or 0)
    return Line(  # in the order of the fields
        iso_time(record.ended + record.wall_offset),
        LEVELS[level],
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
        [_rung(attempt) for attempt in record.attempts],
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


def iso_time(wall: float) -> str:
    """`2027-01-15T08:00:02.310Z`; `wall` is epoch seconds, what is below the millisecond is cut off."""
    second, rest = divmod(int(wall * 1000 + 0.0008), 1000)  # 0.0008 ms: what a float of today may be off by
    return f"{_second(second)}.{rest:03}Z"


@lru_cache(maxsize=16)
def _second(wall: int) -> str:
    """Requests that end within one second share all of their time but its end."""
    return datetime.fromtimestamp(wall, UTC).isoformat()[:19]


def _rung(attempt: Attempt) -> Rung:
    failure = attempt.failure
    ending = "ok" if failure is None else failure.error_class
    return Rung(attempt.provider, ending, milliseconds(attempt.ended - attempt.started), attempt.status)
