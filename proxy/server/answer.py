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


def reply_headers(record: Record, now: float) -> dict[str, str]:
    """The `x-sidestep-*` headers of every answer."""
    upstream = 0.0
    for attempt in record.attempts:
        if attempt.hedge != "loser":
            upstream += (attempt.ended or now) - attempt.started
    own = max(0.0, now - record.started - upstream)
    headers = {
        "server": SERVER_NAME,
        "x-request-id": record.request.id,
        "x-sidestep-provider": record.provider,
        "x-sidestep-attempts": str(len(record.attempts)),
        "x-sidestep-failover": "true" if len(record.attempts) > 1 and record.failovers else "false",
        "x-sidestep-route": record.route,
        "x-sidestep-generation": record.generation,
        "server-timing": f"proxy;dur={own * 1000:.1f}, upstream;dur={upstream * 1000:.1f}",
    }
    if record.degraded:
        headers["x-sidestep-degraded"] = record.degraded
    if record.cache:
        headers["x-sidestep-cache"] = record.cache
        if record.age is not None:
            headers["age"] = str(int(record.age))  # RFC 9111 section 5.1
    if record.events and any(event.name == "last_chance" for event in record.events):
        headers["x-sidestep-last-chance"] = "true"
    return headers


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
