"""The log line of one finished request, written by a template.

Requests are most of what is logged, and a dictionary that is filled, sifted and encoded would cost three times as much.
Only what a stranger may have written is escaped: the model, the request's id, names from the configuration. All else is
a number, or a word of ours that holds nothing to escape.
"""

import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted
from typing import Any

from proxy.record import Attempt, Record
from proxy.telemetry.facts import bounded, error_type, outcome

LOGGER = "sidestep.request"
MAX_MODEL = 100
LEVELS = {logging.INFO: "info", logging.WARNING: "warning", logging.ERROR: "error"}


def request_level(record: Record) -> int:
    """ERROR when the client was failed, WARNING when it took more than the first provider, else INFO."""
    if record.failed:
        return logging.ERROR
    return logging.WARNING if record.degraded or (len(record.attempts) > 1 and record.failovers) else logging.INFO


def request_log(record: Record) -> dict[str, Any]:
    """What the line tells beside logger and message, for whoever does not write JSON."""
    fields: dict[str, Any] = json.loads(request_line(record, request_level(record)))
    del fields["logger"], fields["message"]
    return fields


def request_line(record: Record, level: int) -> str:
    """One JSON object in plain ASCII, every control character escaped; what is unknown is left out."""
    request, first = record.request, record.first_output_at
    error = None if record.error is None and record.broken is None else error_type(record)
    line = "".join(
        (
            f'{{"time":"{iso_time(record.ended + record.wall_offset)}","level":"{LEVELS[level]}"',
            f',"logger":"{LOGGER}","message":"request"',
            f',"request_id":{quoted(request.id)},"trace_id":"{record.trace_id}"',
            f',"route":{quoted(record.route)}' if record.route else "",
            f',"operation":"{request.operation}"',
            f',"model":{quoted(bounded(request.model, MAX_MODEL))}' if request.model else "",
            ',"stream":true' if request.stream else "",
            f',"provider":{quoted(record.provider)}' if record.provider else "",
            f',"status":{record.status},"outcome":"{outcome(record)}"',
            f',"error":{quoted(error)}' if error else "",
            f',"attempts":[{",".join(map(_rung, record.attempts))}]',
            f',"failover":{"true" if len(record.attempts) > 1 and record.failovers else "false"}',
            f',"degraded":{quoted(record.degraded)}' if record.degraded else "",
            f',"cache":{quoted(record.cache)}' if record.cache else "",
            f',"ms":{milliseconds(record.ended - record.started)}',
            f',"first_output_ms":{milliseconds(first - record.started)}' if first is not None else "",
            _tokens(record.attempts),
            f',"bytes":{record.response_bytes}',
            f',"generation":{quoted(record.generation)}' if record.generation else "",
            "}",
        )
    )
    return line.replace("\x7f", "\\u007f") if "\x7f" in line else line


def milliseconds(seconds: float) -> str:
    """To a tenth; never below zero."""
    return f"{seconds * 1000:.1f}" if seconds > 0 else "0.0"


def iso_time(wall: float) -> str:
    """`2027-01-15T08:00:02.310Z`; `wall` is epoch seconds, what is below the millisecond is cut off."""
    second, fraction = divmod(round(wall * 1_000_000), 1_000_000)
    return f"{_second(second)}.{fraction // 1000:03}Z"


@lru_cache(maxsize=16)
def _second(wall: int) -> str:
    """Requests that end within one second share all of their time but its end."""
    return datetime.fromtimestamp(wall, UTC).isoformat()[:19]


def _rung(attempt: Attempt) -> str:
    status = "" if attempt.status is None else f',"status":{attempt.status}'
    ending = "ok" if attempt.failure is None else attempt.failure.error_class
    took = milliseconds(attempt.ended - attempt.started)
    return f'{{"provider":{quoted(attempt.provider)},"class":"{ending}","ms":{took}{status}}}'


def _tokens(attempts: Sequence[Attempt]) -> str:
    """Sum what the attempts told; nothing where none told anything."""
    asked = answered = None
    for attempt in attempts:
        facts = attempt.facts
        if facts.input_tokens is not None:
            asked = facts.input_tokens + (asked or 0)
        if facts.output_tokens is not None:
            answered = facts.output_tokens + (answered or 0)
    input_tokens = "" if asked is None else f',"input_tokens":{asked}'
    return input_tokens if answered is None else f'{input_tokens},"output_tokens":{answered}'
