"""`GET /admin/events`: server-sent events, a snapshot first and then whatever happens, until somebody leaves."""

import asyncio
from collections.abc import Callable, Mapping

from aiohttp import HttpVersion11, web

from proxy.envelope import encode
from proxy.errors import SidestepError
from proxy.server.admin.journal import Event, Journal, Listener, TooManyListenersError
from proxy.server.admin.operations import Told, settled

HEARTBEAT = 15.0
"""Seconds of silence after which a comment is sent, so that whoever is between does not cut the connection."""
WRITE_TIME = 10.0
"""Seconds that a listener may leave an event untaken before it counts as gone."""


async def serve_events(
    http: web.BaseRequest, journal: Journal, snapshot: Callable[[], Told], headers: Mapping[str, str]
) -> web.StreamResponse:
    """Write events until the listener leaves or the sidecar ends. Raises SidestepError 503 when too many listen."""
    try:
        listener = journal.join()
    except TooManyListenersError:
        message = "too many listen already; close one of them"
        raise SidestepError(message, status=503, code="too_many_listeners", retry_after=HEARTBEAT) from None
    try:
        return await _write(http, listener, Event("snapshot", await settled(snapshot())), headers)
    finally:
        journal.leave(listener)


async def _write(
    http: web.BaseRequest, listener: Listener, event: Event | None, headers: Mapping[str, str]
) -> web.StreamResponse:
    response = web.StreamResponse(headers={**headers, "content-type": "text/event-stream; charset=utf-8"})
    if http.version >= HttpVersion11:
        response.enable_chunked_encoding()
    else:
        response.force_close()
    await response.prepare(http)
    while event is not None:
        await _send(http, response, frame(event))
        event = await _next(http, response, listener)
        if listener.dropped:
            await _send(http, response, frame(Event("dropped", {"events": listener.dropped})))
            listener.dropped = 0
    await response.write_eof()
    return response


async def _next(http: web.BaseRequest, response: web.StreamResponse, listener: Listener) -> Event | None:
    """Wait for the next event, with a sign of life now and then."""
    while True:
        try:
            async with asyncio.timeout(HEARTBEAT):
                return await listener.queue.get()
        except TimeoutError:
            await _send(http, response, b": still here\n\n")


async def _send(http: web.BaseRequest, response: web.StreamResponse, data: bytes) -> None:
    try:
        async with asyncio.timeout(WRITE_TIME):
            await response.write(data)
    except TimeoutError:
        if http.transport is not None:
            http.transport.abort()
        raise ConnectionAbortedError("the listener stopped reading") from None


def frame(event: Event) -> bytes:
    """One server-sent event."""
    return b"event: " + event.name.encode() + b"\ndata: " + encode(event.data) + b"\n\n"
