"""From a `Reply` or a `SidestepError` to the bytes that the app reads."""

import math
from collections.abc import Mapping

from aiohttp import HttpVersion11, web

from proxy.envelope import error_body
from proxy.errors import ProviderVerdict, SidestepError
from proxy.messages import Body, Reply
from proxy.record import Record

SERVER_NAME = "sidestep"
"""Names the program, never its version."""


def reply_headers(record: Record, now: float) -> dict[str, str]:
    """The `x-sidestep-*` headers of every answer."""
    upstream = sum((attempt.ended or now) - attempt.started for attempt in record.attempts if attempt.hedge != "loser")
    own = max(0.0, now - record.started - upstream)
    headers = {
        "server": SERVER_NAME,
        "x-request-id": record.request.id,
        "x-sidestep-provider": record.provider,
        "x-sidestep-attempts": str(len(record.attempts)),
        "x-sidestep-failover": "true" if record.failovers else "false",
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
    if any(event.name == "last_chance" for event in record.events):
        headers["x-sidestep-last-chance"] = "true"
    return headers


def error_response(error: SidestepError, record: Record | None, headers: Mapping[str, str]) -> web.Response:
    """The error in OpenAI's shape, or the provider's own verdict as it was."""
    own = {"server": SERVER_NAME, **headers}
    if error.retry_after is not None:
        own["retry-after"] = str(max(1, math.ceil(error.retry_after)))
        own["retry-after-ms"] = str(max(1, math.ceil(error.retry_after * 1000)))
    if error.should_retry is not None:
        own["x-should-retry"] = "true" if error.should_retry else "false"
    body = error.body if isinstance(error, ProviderVerdict) and error.body else None
    if body is None:
        body = error_body(error, record, headers.get("x-request-id", ""))
    return web.Response(status=error.status, body=body, headers={"content-type": "application/json", **own})


async def write_reply(request: web.BaseRequest, reply: Reply, headers: Mapping[str, str]) -> web.StreamResponse:
    """Write a reply; a stream goes out piece by piece as the client takes it. Returns the finished response."""
    if reply.stream is None:
        return web.Response(status=reply.status, body=reply.body, headers={**reply.headers, **headers})
    response = web.StreamResponse(status=reply.status, headers={**reply.headers, **headers})
    if request.version >= HttpVersion11:
        response.enable_chunked_encoding()
    else:
        response.force_close()  # HTTP/1.0 knows no chunks: the end of the connection is the end of the body
    await response.prepare(request)
    await _pump(request, response, reply.stream)
    return response


async def _pump(request: web.BaseRequest, response: web.StreamResponse, stream: Body) -> None:
    """Take a piece only when the client has room for it; where it stands still, the guard ends the connection."""
    while piece := await stream.read():
        await response.write(piece)
        await request.writer.drain()  # by itself aiohttp looks only after every 64 KiB
    if stream.aborted and request.transport is not None:
        request.transport.abort()
        return
    await response.write_eof()
