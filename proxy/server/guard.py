"""What aiohttp's server lacks: deadlines for headers and readers, caps on connections, errors that echo nothing."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler

from proxy.config.snapshot import Limits
from proxy.errors import ClientError, SidestepError
from proxy.outbox import Outbox
from proxy.server.answer import error_reply, response_of
from proxy.server.body import READ_BUFFER
from proxy.server.descriptors import room

KEEPALIVE = 75.0
"""Seconds that an idle client connection is kept open."""
LINGER = 2.0
"""Seconds that the rest of a refused body is read away, so that the client gets to see why."""
MAX_HEADERS = 128
MAX_LINE = 8190
"""Bytes of the request line and of any one header (RFC 9112 section 3 asks for at least 8000)."""
WRITE_BUFFER = 16 * 1024
"""Bytes that wait in this process for a client that reads slowly, before its provider has to wait too."""
UNSENT = 32 * 1024
"""Bytes that the kernel takes on top of them and has not sent. Left to itself it takes megabytes for each slow reader;
what is on its way to the client is not counted, so that a fast one far away is not slowed down."""


class GuardedServer(web.Server):
    """aiohttp's low-level server with our limits. A client that leaves cancels its handler.

    What the handler is given, and what it returns, is the connection's business: a request and a response of aiohttp's
    by default, an exchange of our own on the app's listener.
    """

    def __init__(
        self,
        handler: Callable[[Any], Awaitable[Any]],
        limits: Limits,
        connection: "type[GuardedConnection] | None" = None,
    ) -> None:
        super().__init__(
            handler,
            handler_cancellation=True,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=KEEPALIVE,
            lingering_time=LINGER,
            max_headers=MAX_HEADERS,
            max_line_size=MAX_LINE,
            max_field_size=MAX_LINE,
            read_bufsize=READ_BUFFER,
        )
        self.limits = limits
        self.outbox = Outbox(self._loop)
        self.room = room()
        self._connection = connection or GuardedConnection

    def __call__(self) -> RequestHandler:
        """Make the protocol of one new connection."""
        return self._connection(self, loop=self._loop, **self._kwargs)


class GuardedConnection(RequestHandler):
    """One client connection."""

    __slots__ = ("_header_timer", "_limits", "_server", "_unsent", "_write_timer")

    def __init__(self, server: GuardedServer, **settings: Any) -> None:  # noqa: ANN401  aiohttp's own keywords
        super().__init__(server, **settings)
        self._server = server
        self._limits = server.limits
        self._header_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._unsent = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Refuse what is over the limit by closing it; there is no request yet that could be answered."""
        super().connection_made(transport)
        connection = self.transport  # the same, by its type: uvloop's is no asyncio.Transport
        assert connection is not None  # noqa: S101  just made
        connection.set_write_buffer_limits(high=WRITE_BUFFER)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            connection.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)
        if len(self._server.connections) > min(self._limits.connections, self._server.room):
            connection.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Stop the clocks."""
        self._stop_timer()
        self._stop_write_timer()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client is behind: from here on it has to take something within `write_time`, again and again."""
        super().pause_writing()
        self._unsent = self._waiting_bytes()
        self._write_timer = self._loop.call_later(self._limits.write_time, self._judge_reader)

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._stop_write_timer()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Take it, and time the head that it may have begun."""
        super().data_received(data)
        self._time_head(waiting=bool(self._messages))

    def _time_head(self, *, waiting: bool) -> None:
        """Run a clock from the first byte of a request to the end of its headers (aiohttp has none of its own).

        It stands while one is answered, or is `waiting` for that.
        """
        if waiting or self._request_in_progress:
            self._stop_timer()
        elif self._header_timer is None:
            self._header_timer = self._loop.call_later(self._limits.header_time, self.force_close)

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002  aiohttp's signature
        """Aiohttp resumes after every piece that is read, whether it had paused or not; only the latter costs."""
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  it quotes the client's bytes
    ) -> web.StreamResponse:
        """Say what kind of mistake it was, in OpenAI's shape, and nothing of what was sent."""
        if isinstance(exc, ConnectionError):
            raise exc  # the client is gone: nobody to tell, and nothing that a log should call a failure
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self.log_exception("a request handler failed", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("the response has begun; it cannot become another one")
        response = response_of(error_reply(parse_error(status, exc), None, {}))
        response.force_close()
        return response

    def _judge_reader(self) -> None:
        """Cut the client off if it took nothing; a stream then ends as if it had left."""
        before, self._unsent = self._unsent, self._waiting_bytes()
        if self._unsent < before:
            self._write_timer = self._loop.call_later(self._limits.write_time, self._judge_reader)
        elif self.transport is not None:
            self.transport.abort()

    def _waiting_bytes(self) -> int:
        return self.transport.get_write_buffer_size() if self.transport is not None else 0

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _stop_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None


def parse_error(status: int, exc: BaseException | None) -> SidestepError:
    """Say what kind of mistake it was, and nothing of the bytes that it was made with."""
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return SidestepError("sidestep failed to handle this request; its log says why", status=status)
    if isinstance(exc, LineTooLong):
        return too_long()
    if exc is not None and "Too many headers" in str(exc):
        return too_many()
    return malformed()


def malformed() -> ClientError:
    """What is no request."""
    return ClientError("the request is not well-formed HTTP/1.1", status=400, code="bad_http")


def too_long() -> ClientError:
    """A line of a head that does not end in time."""
    return ClientError("the request line or a header is too long", status=431, code="headers_too_large")


def too_many() -> ClientError:
    """More headers than are read."""
    return ClientError("there are too many headers", status=431, code="headers_too_large")
