"""One connection to a provider: one question at a time, head and body of each answer, and a single clock over both.

The parser is llhttp, strict, through httptools: it hands the bytes of a body on as they come, where aiohttp's own makes
a reader, a map of headers and a message object for every answer. What llhttp does not bound is bounded here.
"""

import asyncio
from collections.abc import Callable
from typing import cast

import aiohttp
from aiohttp.connector import Connection
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from proxy.outbox import Outbox
from proxy.transport.alarm import Alarm
from proxy.transport.dialled import Dialled
from proxy.transport.failures import MalformedError, TooLateError

PIECE = 24 * 1024
"""Bytes of a stream that are handled in one turn of the event loop."""
READ_BUFFER = 16 * 1024
"""Bytes per connection before the provider is told to wait; it may wait again when half of them are left."""
MAX_HEAD = 32 * 1024
"""Bytes until a head is complete, interim answers included; also of what frames a body between two pieces of it."""
MAX_HEADERS = 256


Take = Callable[[bytes], bool]
"""Is given a piece of a body; says whether it wants the next one, too."""


class UpstreamConnection(Dialled):
    """Asks, and hands out what comes.

    It has one clock, an alarm: it bounds the time that an answer has, and at rest it ends the connection's keep-alive.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, outbox: Outbox) -> None:
        super().__init__()
        self.lease: Connection | None = None
        """What the connector gave out; closing it closes the connection."""
        self.answers = 0
        """How many were begun: a connection that has answered before may be closed already."""
        self.status = 0
        self.headers: dict[str, str] = {}
        """Of the answer; names are lower-case, and the first of several counts."""
        self.complete = False
        """Whether all of the answer has come."""
        self.when_lost: Callable[[UpstreamConnection], object] | None = None
        """Told when it ends at rest."""
        self._loop = loop
        self._outbox = outbox
        self._pieces: list[bytes] = []
        """What has come of a body and was not read."""
        self._size = 0
        self.on_body = self._pieces.append
        """The parser calls it for every chunk, of which a fast stream has tens of thousands a second."""
        self._parser = HttpResponseParser(self)
        self._asked = self._head_came = self._surplus = False
        self._until_closed = False
        """Whether the end of the connection is the end of the body (RFC 9112 section 6.3)."""
        self._keep = True
        self._own = 0
        """Pieces that belong to the answer, when more than one came."""
        self._overhead = 0
        self._paused = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._take: Take | None = None
        self._alarm = Alarm(loop, self._too_late)

    # What its holder does

    def ask(self, request: bytes, until: float) -> None:
        """Write a request whose answer, head and body, must have come `until` then (the loop's time).

        Raises ServerDisconnectedError when the connection is known to be closed.
        """
        transport = self.transport
        if transport is None or transport.is_closing():
            raise aiohttp.ServerDisconnectedError
        self._asked, self._head_came, self.complete = True, False, False
        self._overhead = 0
        self.headers = {}
        self._alarm.set(until)
        self._outbox.write(transport, request)

    async def head(self) -> None:
        """Wait until `status` and `headers` are those of the answer. Interim ones (1xx) are skipped.

        Raises TooLateError, MalformedError, and aiohttp's errors for a connection that was lost.
        """
        while not self._head_came:
            await self._news()
        self.answers += 1

    async def read(self, limit: int) -> bytes:
        """Return the next bytes of the body, at most so many, and `b""` when it is complete. Raises as `head`."""
        while not self._size:
            if self.complete:
                return b""
            await self._news()
        return self.take(limit)

    async def flow(self, take: Take) -> None:
        """Hand on what comes as it comes, with no task to be woken for it, until `take` has had enough.

        It ends before everything that only `read` can tell: the end, a failure, more than a piece at once. Raises what
        `take` raises.
        """
        if self._size or self.complete or self._error is not None:
            return
        self._take = take
        try:
            await self._news()
        finally:
            self._take = None

    def take(self, limit: int) -> bytes:
        """Return what has come of the body, at most so many bytes."""
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        if len(data) > limit:
            pieces.append(data[limit:])
            data = data[:limit]
        self._size -= len(data)
        if self._paused and self._size <= READ_BUFFER // 2:
            self._paused = False
            if self.transport is not None and not self.transport.is_closing():
                self.transport.resume_reading()
        return data

    def end_by(self, due: float) -> None:
        """From now on, whoever waits at this time is told that it is too late; `inf`: no clock runs."""
        self._alarm.set(due)

    def rest(self, until: float, when_lost: "Callable[[UpstreamConnection], object]") -> None:
        """Wait for the next question, at most `until` then."""
        self._asked = False
        self.when_lost = when_lost
        self._alarm.set(until)

    def wake(self, error: Exception) -> None:
        """Tell whoever waits, and whoever will, that nothing more comes."""
        if self._error is None:
            self._error = error
        self._tell()

    def discard(self) -> None:
        """Close it at once. Safe to call twice."""
        self._alarm.stop()
        lease, self.lease = self.lease, None
        if lease is not None:
            lease.close()

    @property
    def finished(self) -> bool:
        """Whether all of the answer has come and was read."""
        return self.complete and not self._size

    @property
    def broken(self) -> bool:
        """Whether the answer is known to break off after what has come of it."""
        return self._error is not None

    def reusable(self) -> bool:
        """Whether it may be asked again: alive, in between two answers, and nothing came that was not asked for."""
        transport = self.transport
        return self._keep and self.complete and not self._size and transport is not None and not transport.is_closing()

    # What the parser tells; a question was asked, or the connection is not used again

    def on_message_begin(self) -> None:
        """An answer begins. A second one to the same question is nobody's."""
        if self.complete:
            self._surplus = True
            self._own = len(self._pieces)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or one trailer, which is not looked at."""
        if self._head_came:
            return
        if len(self.headers) >= MAX_HEADERS:
            raise MalformedError("too many headers")
        self.headers.setdefault(name.decode("latin-1").lower(), value.rstrip(b" \t").decode("utf-8", "surrogateescape"))

    def on_headers_complete(self) -> None:
        """The head is whole."""
        if self._head_came:
            return
        status = self._parser.get_status_code()
        if 100 <= status < 200:
            self.headers = {}
            return
        self.status = status
        self._head_came = True
        self._keep = self._parser.should_keep_alive()
        chunked = "chunked" in self.headers.get("transfer-encoding", "").lower()
        self._until_closed = not chunked and "content-length" not in self.headers

    def on_message_complete(self) -> None:
        """The answer is whole; an interim one is not the answer."""
        if self._head_came:
            self.complete = True

    # What the event loop tells

    def data_received(self, data: bytes) -> None:
        """Parse. What is not HTTP ends the connection; whoever waits is told why."""
        if self.complete or not self._asked:
            self._keep = False  # nobody asked for it
            self._end()
            return
        known = len(self._pieces)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._refuse(error)
        if self._surplus:
            del self._pieces[self._own :]
        if self._take is None or not self._flowed(self._take):
            self._account(len(data), self._pieces[known:])
            self._tell()

    def connection_lost(self, exc: BaseException | None) -> None:
        """An answer that only this could end is complete; any other is not. At rest it is nobody's failure."""
        self.transport = None
        self._keep = False
        self._parser = cast("HttpResponseParser", None)  # which holds on to this connection
        if self._asked and not self.complete and self._error is None:
            if self._head_came and self._until_closed and exc is None:
                self.complete = True
            elif self._head_came:
                self._error = aiohttp.ClientPayloadError("the answer is not complete")
            elif isinstance(exc, OSError):
                self._error = aiohttp.ClientOSError(*exc.args)
            else:
                self._error = aiohttp.ServerDisconnectedError()
        self._tell()
        if self.when_lost is not None:
            self.when_lost(self)

    def _news(self) -> "asyncio.Future[None]":
        """What to wait for when nothing is there. Raises what has ended the answer already."""
        if self._error is not None:
            # What is raised remembers the frames that it came through, and these this connection: it is not kept.
            error, self._error = self._error, aiohttp.ClientConnectionError("closed")
            raise error
        self._waiter = self._loop.create_future()
        return self._waiter

    def _flowed(self, take: Take) -> bool:
        """Hand on what came, if it is no more than a piece; False: it is there still, and for `read` to see to."""
        pieces = self._pieces
        if not pieces or self._size or self.complete or self._error is not None:
            return False
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if len(data) > PIECE:
            return False
        pieces.clear()
        self._overhead = 0
        try:
            if not take(data):
                self._take = None
                self._tell()
        except Exception as error:  # noqa: BLE001  it is theirs who wait
            self._take = None
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_exception(error)
        return True

    def _tell(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done() and (self._head_came or self._error is not None):
            waiter.set_result(None)

    def _account(self, received: int, pieces: list[bytes]) -> None:
        """Keep to the bounds: of what frames an answer, and of what waits to be read."""
        self._overhead = 0 if pieces else self._overhead + received
        self._size += sum(map(len, pieces))
        if self._error is None and (self._surplus or (self._overhead > MAX_HEAD and not self.complete)):
            self._refuse(None)
        transport = self.transport
        if self._size > READ_BUFFER and not self._paused and transport is not None and not transport.is_closing():
            self._paused = True
            transport.pause_reading()

    def _refuse(self, cause: Exception | None) -> None:
        """This is no answer: not HTTP, a head without an end, or more than was announced.

        What came of a body before that is still to be read: of a stream, its reader has to show it.
        """
        self._error = MalformedError("the answer is not well-formed HTTP")
        self._error.__cause__ = cause
        self.complete = self._keep = False
        self._end()

    def _end(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def _too_late(self) -> None:
        if self.when_lost is not None:
            self.when_lost(self)
        else:
            self.wake(TooLateError())
