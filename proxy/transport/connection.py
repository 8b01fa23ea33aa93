"""One connection to a provider: one question at a time, a head and a body for each, and a single clock over both."""

import asyncio
from collections.abc import Callable
from math import inf

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.helpers import EMPTY_BODY_STATUS_CODES
from aiohttp.http import HttpResponseParser
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD

READ_BUFFER = 16 * 1024
"""Bytes per connection before the upstream is told to wait; aiohttp's 256 KiB would cost 1.3 MB for a slow stream."""
MAX_HEADER = 32 * 1024
MAX_HEADERS = 256


class TooLateError(Exception):
    """The time that an answer had is over; raised by whoever waited for it."""


class UpstreamConnection(ResponseHandler):
    """aiohttp's own response protocol, less what only a `ClientSession` needs.

    Its clock is a number: an exchange moves it, and the timer, when it fires, looks at it and sleeps on. So a timer is
    made once in a while and not once for every question. At rest the same clock ends the connection's keep-alive.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.lease: Connection | None = None
        """What the connector gave out; closing it closes the connection."""
        self.answers = 0
        """How many were read: a connection that has answered before may be closed already."""
        self.when_lost: Callable[[UpstreamConnection], object] | None = None
        """Told when it ends at rest."""
        self._due = inf
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = inf

    def ask(self, request: bytes, until: float) -> None:
        """Write a request whose answer, head and body, must have come `until` then (the loop's time).

        `read` gives the heads that come. It raises TooLateError, aiohttp's connection errors, and HttpProcessingError
        for what is not HTTP. Here ServerDisconnectedError is raised when the connection is known to be closed.
        """
        transport = self.transport
        if transport is None or transport.is_closing():
            raise aiohttp.ServerDisconnectedError
        self._parser = HttpResponseParser(
            self,
            self._loop,
            READ_BUFFER,
            payload_exception=aiohttp.ClientPayloadError,
            response_with_body=True,
            read_until_eof=True,
            auto_decompress=False,
            max_line_size=MAX_HEADER,
            max_field_size=MAX_HEADER,
            max_headers=MAX_HEADERS,
        )
        self.end_by(until)
        transport.write(request)

    def end_by(self, due: float) -> None:
        """From now on, whoever waits at this time is told that it is too late; `inf`: no clock runs."""
        self._due = due
        if due < self._alarm_at:
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm_at = due
            self._alarm = self._loop.call_at(due, self._look)

    def rest(self, until: float, when_lost: "Callable[[UpstreamConnection], object]") -> None:
        """Wait for the next question, at most `until` then."""
        self.when_lost = when_lost
        self.end_by(until)

    def discard(self) -> None:
        """Close it at once; whoever waits in a read is woken. Safe to call twice."""
        self._due = inf
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm, self._alarm_at = None, inf
        lease, self.lease = self.lease, None
        if lease is not None:
            lease.close()

    def data_received(self, data: bytes) -> None:
        """Parse. What is not HTTP ends the connection; whoever waits for a head is told why."""
        parser = self._parser
        if parser is None or self._upgraded:
            super().data_received(data)  # nobody asked for it, so the connection is not used again
            return
        try:
            messages, self._upgraded, tail = parser.feed_data(data)
        except HttpProcessingError as error:
            if self.transport is not None:
                self.transport.close()
            self.set_exception(HttpProcessingError(code=error.code, message=error.message), error)
            return
        for message, payload in messages:
            if message.should_close:
                self._should_close = True
            self._payload = payload
            empty = message.code in EMPTY_BODY_STATUS_CODES
            self.feed_data((message, EMPTY_PAYLOAD if empty else payload))
        if tail:
            super().data_received(tail)

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002  aiohttp's signature
        """Aiohttp resumes after every piece that is read, whether it had paused or not; only the latter costs."""
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def connection_lost(self, exc: BaseException | None) -> None:
        """At rest this is nobody's failure."""
        super().connection_lost(exc)
        if self.when_lost is not None:
            self.when_lost(self)

    def _look(self) -> None:
        self._alarm, self._alarm_at = None, inf
        if self._loop.time() < self._due:
            if self._due < inf:
                self.end_by(self._due)
            return
        self._due = inf
        if self.when_lost is not None:
            self.when_lost(self)
            return
        error = TooLateError()
        payload = self._payload
        if payload is not None and not payload.is_eof():
            payload.set_exception(error)
        self.set_exception(error)
