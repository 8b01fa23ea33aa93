"""A client's connection to the app's listener: one exchange after the other, answered straight to the socket.

aiohttp's own loop makes a task, a request, a writer and a response object for every request, which costs as much as
finding and asking a provider. Here the parser's message is answered in the connection's one task, in bytes. Parser,
keep-alive, shutdown and flow control are aiohttp's.
"""

import asyncio
import re
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, cast

from aiohttp import HttpVersion11
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestPayloadError

from proxy.messages import NO_HEADERS, Reply
from proxy.server.answer import error_reply
from proxy.server.body import CONTINUE
from proxy.server.guard import GuardedConnection, parse_error

_STATUS_LINES = {
    (minor, status.value): f"HTTP/1.{minor} {status.value} {status.phrase}\r\n"
    for minor in (0, 1)
    for status in HTTPStatus
}

_BREAK = re.compile(r"[\r\n\0]")


class Exchange:
    """One request of a client, and the way to answer it.

    Writing raises ConnectionError when the client is gone.
    """

    __slots__ = ("_connection", "_held", "_modern", "begun", "closing", "headers", "method", "path", "payload")

    def __init__(self, connection: "ClientConnection", message: RawRequestMessage, payload: StreamReader) -> None:
        self._connection = connection
        self.method = message.method
        self.path = message.path
        """The raw request target."""
        self.headers: Mapping[str, str] = message.headers
        """Looked up in any case."""
        self.payload = payload
        self.begun = False
        """Whether something of the answer was written."""
        self.closing = bool(message.should_close)
        """Whether the connection ends with this answer."""
        self._held = b""
        self._modern = message.version >= HttpVersion11

    @property
    def address(self) -> str:
        """Where the client is."""
        return self._connection.address

    @property
    def gone(self) -> bool:
        """Whether the client has left."""
        return self._connection.transport is None

    @property
    def task(self) -> "asyncio.Task[None]":
        """The task that answers it, and all others of its connection."""
        return self._connection.task

    @property
    def takes_interim(self) -> bool:
        """Whether the client knows `100 Continue` (HTTP/1.1)."""
        return self._modern

    def proceed(self) -> None:
        """Tell the client to send its body; no part of the answer."""
        self._connection.send(CONTINUE)

    def answer(self, reply: Reply) -> bool:
        """Write a whole answer; say whether the client has no room for more at the moment."""
        self.begun = True
        head = self._head(reply, f"content-length: {len(reply.body)}\r\n")
        return self._connection.send(head if self.method == "HEAD" else head + reply.body)

    def begin(self, reply: Reply) -> None:
        """Make the head of an answer that comes in pieces; it goes out with the first of them.

        What was asked is let go of: the pieces may take minutes to come.
        """
        self.begun = True
        self.headers = NO_HEADERS
        if self.payload.is_eof():
            self.payload = EMPTY_PAYLOAD
        if self._modern:
            self._held = self._head(reply, "transfer-encoding: chunked\r\n")
        else:  # it knows no chunks: the end of the connection is the body's
            self.closing = True
            self._held = self._head(reply, "")

    def write(self, piece: bytes) -> bool:
        """Write a piece, not empty; say whether the client has no room for more at the moment."""
        if self._modern:
            piece = b"%x\r\n%b\r\n" % (len(piece), piece)
        if self._held:
            piece, self._held = self._held + piece, b""
        return self._connection.send(piece)

    def end(self, piece: bytes) -> bool:
        """Write the last piece, which may be empty, and the end; say whether the client has no room at the moment."""
        if self._modern:
            piece = b"%x\r\n%b\r\n0\r\n\r\n" % (len(piece), piece) if piece else b"0\r\n\r\n"
        last, self._held = self._held + piece, b""
        return self._connection.send(last) if last else False

    def abort(self) -> None:
        """Reset the connection: the client must not take what it got for an answer."""
        self._connection.abort()

    async def drained(self) -> None:
        """Wait until the client has room for more. Where it stands still, the guard ends the connection."""
        await self._connection.room()

    def _head(self, reply: Reply, framing: str) -> bytes:
        self.closing = self.closing or self._connection.leaving
        if self.closing:
            framing += "connection: close\r\n"
        elif not self._modern:
            framing += "connection: keep-alive\r\n"
        return head(reply, framing, minor=1 if self._modern else 0)


def head(reply: Reply, framing: str, *, minor: int = 1) -> bytes:
    """Write status line and headers. Raises ValueError for a line break in a header."""
    headers = reply.headers
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    told = "".join((*headers, *headers.values()))
    if not told.isprintable() and _BREAK.search(told):
        raise ValueError("a header of an answer holds a line break")
    first = _STATUS_LINES.get((minor, reply.status)) or f"HTTP/1.{minor} {reply.status} \r\n"
    written = f"{first}{lines}date: {rfc822_formatted_time()}\r\n{framing}\r\n"
    return written.encode("utf-8", "surrogateescape")


Serve = Callable[[Exchange], Awaitable[None]]
"""Answers one exchange; raises nothing but cancellation and ConnectionError."""


class _Messages(list[object]):
    """What aiohttp uses a deque for, which has room for 64 from the start: 600 bytes for every idle connection."""

    __slots__ = ()

    def popleft(self) -> object:
        """Take the first out."""
        return self.pop(0)


class ClientConnection(GuardedConnection):
    """Answers the exchanges of one connection, in their order."""

    __slots__ = ("address",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note who it is, once."""
        super().connection_made(transport)
        self._messages = cast("deque[Any]", _Messages())
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if isinstance(peer, tuple) else ""

    @property
    def task(self) -> "asyncio.Task[None]":
        """The task that runs `start`."""
        task = self._task_handler
        assert task is not None  # noqa: S101  aiohttp makes it with the connection
        return task

    @property
    def leaving(self) -> bool:
        """Whether the listener wants to be rid of its connections."""
        return self._close

    def send(self, data: bytes) -> bool:
        """Write to the client; say whether it is behind with reading. Raises ConnectionError."""
        transport = self.transport
        if transport is None:
            raise ConnectionResetError("the client has left")
        self._server.outbox.write(transport, data)
        return self._paused

    def force_close(self) -> None:
        """End the connection; what was written goes out before."""
        self._server.outbox.flush()
        super().force_close()

    def abort(self) -> None:
        """Reset the connection, behind what was written."""
        self._server.outbox.flush()
        if self.transport is not None:
            self.transport.abort()

    async def room(self) -> None:
        """Wait until the socket takes more. Raises ConnectionError."""
        await self._drain_helper()

    async def start(self) -> None:
        """Serve until the client or the listener has had enough; aiohttp calls it for every connection."""
        try:
            while self._messages or await self._message_waits():
                if not await self._serve_one():
                    break
        except ConnectionError:
            pass  # the client is gone: nobody to tell
        finally:
            self.force_close()

    async def _message_waits(self) -> bool:
        """Wait for the next message; False when none will come."""
        waiter = self._waiter = self._loop.create_future()
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.cancelled() and self._close:
                return False  # the listener leaves, and nothing is under way here
            raise
        finally:
            self._waiter = None
        return not self._force_close

    async def _serve_one(self) -> bool:
        """Answer the next message; say whether the connection goes on."""
        exchange = self._next_exchange()
        if exchange is None:
            return False
        self._request_in_progress = True
        self._server.outbox.under_way += 1
        try:
            await cast("Serve", self._request_handler)(exchange)
        except ConnectionError:
            raise
        except Exception as error:  # noqa: BLE001  a mistake of ours, written to the log, must not take others along
            self.log_exception("a request handler failed", exc_info=error)
            if exchange.begun:
                return False
            self._apologise(exchange)
        finally:
            self._server.outbox.under_way -= 1
            self._request_in_progress = False
            if self._handler_waiter is not None:
                self._handler_waiter.set_result(None)
        whole = exchange.payload.is_eof() or await self._lingered(exchange.payload)
        if exchange.closing or self._close or self._upgraded or not whole:
            return False
        self._keep_alive()
        return True

    def _next_exchange(self) -> Exchange | None:
        """Take the next message; one that is none is refused here."""
        message, payload = self._messages.popleft()
        if self._parser is not None:
            self._parser.message_consumed()
        if self._buffer_paused and len(self._messages) <= self._msg_queue_resume_size:
            self._resume_reading_if_drained()
        if not isinstance(message, RawRequestMessage):
            refusal = error_reply(parse_error(message.status, message.exc), None, {})
            if message.exc is not None:
                message.exc.__traceback__ = None  # its frames hold this connection, which holds the message
            self.send(head(refusal, _last(refusal)) + refusal.body)
            return None
        return Exchange(self, message, payload)

    def _apologise(self, exchange: Exchange) -> None:
        exchange.closing = True
        exchange.answer(error_reply(parse_error(500, None), None, {}))

    async def _lingered(self, payload: StreamReader) -> bool:
        """Read the rest of a body that nobody wanted away, so that the client gets to read why; whether it ended."""
        try:
            async with asyncio.timeout(self._lingering_time) as scope:
                while not payload.is_eof() and payload.exception() is None:
                    await payload.readany()
        except TimeoutError:
            if not scope.expired():
                raise
        except RequestPayloadError:
            return False
        return payload.is_eof() and payload.exception() is None

    def _keep_alive(self) -> None:
        """Let an idle client be; aiohttp's timer looks at the time when it fires, and sleeps on."""
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(self._next_keepalive_close_time, self._process_keepalive)


def _last(reply: Reply) -> str:
    return f"content-length: {len(reply.body)}\r\nconnection: close\r\n"
