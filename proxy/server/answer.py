"""What the app is told beside the answer itself: our headers, and errors in OpenAI's shape."""

import math
from collections.abc import Mapping

from aiohttp import web

from proxy.envelope import error_body
from proxy.errors import ProviderVerdict, SidestepError
from proxy.messages import Reply
from proxy.record import Record

SERVER_NAME = "sidestep"
"""Names the program, never its version."""


def reply_lines(record: Record, now: float) -> str:
    """The header lines that every answer has: `x-sidestep-*` and what belongs to them.

    Nothing in them can break a line: names are the configuration's, the id was checked, all else is ours.
    """
    attempts = record.attempts
    upstream = 0.0
    for attempt in attempts:
        if attempt.hedge != "loser":
            upstream += (attempt.ended or now) - attempt.started
    own = now - record.started - upstream
    if own < 0:
        own = 0.0
    lines = (
        f"server: {SERVER_NAME}\r\n"
        f"x-request-id: {record.request.id}\r\n"
        f"x-sidestep-provider: {record.provider}\r\n"
        f"x-sidestep-attempts: {len(attempts)}\r\n"
        f"x-sidestep-failover: {'true' if len(attempts) > 1 and record.failovers else 'false'}\r\n"
        f"x-sidestep-route: {record.route}\r\n"
        f"x-sidestep-generation: {record.generation}\r\n"
        f"server-timing: proxy;dur={own * 1000:.1f}, upstream;dur={upstream * 1000:.1f}\r\n"
    )
    return lines if not (record.degraded or record.cache or record.events) else lines + _rare_lines(record)


def _rare_lines(record: Record) -> str:
    lines = ""
    if record.degraded:
        lines += f"x-sidestep-degraded: {record.degraded}\r\n"
    if record.cache:
        lines += f"x-sidestep-cache: {record.cache}\r\n"
        if record.age is not None:
            lines += f"age: {int(record.age)}\r\n"  # RFC 9111 section 5.1
    if any(event.name == "last_chance" for event in record.events):
        lines += "x-sidestep-last-chance: true\r\n"
    return lines


def reply_headers(record: Record, now: float) -> dict[str, str]:
    """The same by their names."""
    parts = (line.partition(": ") for line in reply_lines(record, now).split("\r\n")[:-1])
    return {name: value for name, _, value in parts}


def error_reply(error: SidestepError, record: Record | None, headers: Mapping[str, str]) -> Reply:
    """The error in OpenAI's shape, or the provider's own verdict as it was."""
    own = {"content-type": "application/json", "server": SERVER_NAME, **headers}
    if error.retry_after is not None:
        own["retry-after"] = str(max(1, math.ceil(error.retry_after)))
        own["retry-after-ms"] = str(max(1, math.ceil(error.retry_after * 1000)))
    if error.should_retry is not None:
        own["x-should-retry"] = "true" if error.should_retry else "false"
    body = error.body if isinstance(error, ProviderVerdict) and error.body else None
    if body is None:
        body = error_body(error, record, headers.get("x-request-id", ""))
    return Reply(status=error.status, headers=own, body=body)


def response_of(reply: Reply) -> web.Response:
    """The same for a listener that answers in aiohttp's words."""
    return web.Response(status=reply.status, body=reply.body, headers=reply.headers)
