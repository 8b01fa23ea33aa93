"""A client's connection to the app's listener: one exchange after the other, answered straight to the socket.

aiohttp's own loop makes a task, a request, a writer and a response object for every request, which costs as much as
finding and asking a provider. Here what the parser tells is answered in the connection's one task, in bytes.
Keep-alive, shutdown and the flow of answers are aiohttp's.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, cast

from aiohttp.web_protocol import RequestPayloadError

from proxy.errors import ClientError
from proxy.messages import Reply
from proxy.server.answer import error_reply
from proxy.server.body import READ_BUFFER, RequestBody
from proxy.server.exchange import Exchange, head
from proxy.server.guard import GuardedConnection, GuardedServer, parse_error
from proxy.server.incoming import Incoming

MOST_ASKED = 64
"""Requests that may wait on one connection, before its client has to wait with sending more."""

Serve = Callable[[Exchange], Awaitable[None]]
"""Answers one exchange; raises nothing but cancellation and ConnectionError."""


class ClientConnection(GuardedConnection):
    """Answers the exchanges of one connection, in their order."""

    __slots__ = ("_asked", "_held", "_incoming", "_serve", "address")

    def __init__(self, server: GuardedServer, **settings: Any) -> None:  # noqa: ANN401  aiohttp's own keywords
        super().__init__(server, **settings)
        self._parser = None  # aiohttp's
        self._messages = cast("deque[Any]", ())  # not used either; a deque has room for 64 from the start
        self._serve = cast("Serve", server.request_handler)
        self._incoming = Incoming(self._loop, self, self._put, self._regulate)
        self._asked: list[Exchange | ClientError] = []
        """What waits to be answered: exchanges, and last what ended the parsing."""
        self._held = False
        """Whether the client has to wait with sending more."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note who it is, once."""
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if isinstance(peer, tuple) else ""

    def connection_lost(self, exc: BaseException | None) -> None:
        """Nothing more comes."""
        self._incoming.close()
        self._incoming = cast("Incoming", None)  # which holds on to this connection
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse."""
        if self._force_close or self._close:
            return
        problem = self._incoming.feed(data)
        if problem is not None:
            self._put(problem)
        self._time_head(waiting=bool(self._asked))
        self._regulate()

    @property
    def task(self) -> "asyncio.Task[None]":
        """The task that runs `start`."""
        task = self._task_handler
        assert task is not None  # noqa: S101  aiohttp makes it with the connection
        return task

    @property
    def gone(self) -> bool:
        """Whether the client has left."""
        return self.transport is None

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
            while self._asked or await self._more_comes():
                if not await self._serve_one():
                    break
        except ConnectionError:
            pass  # the client is gone: nobody to tell
        finally:
            self.force_close()

    def _put(self, asked: Exchange | ClientError) -> None:
        self._asked.append(asked)
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _regulate(self) -> None:
        """Let the client wait while what it has sent waits: many requests, or much of a body."""
        transport = self.transport
        if transport is None:
            return
        body = self._incoming.body
        much = len(self._asked) > MOST_ASKED or (body is not None and body.size > READ_BUFFER)
        if much is not self._held and not transport.is_closing():
            self._held = much
            if much:
                transport.pause_reading()
            else:
                transport.resume_reading()

    async def _more_comes(self) -> bool:
        """Wait for the next request; False when none will come."""
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
        """Answer the next request; say whether the connection goes on. One that is none is refused here."""
        exchange = self._asked.pop(0)
        if isinstance(exchange, ClientError):
            refusal = error_reply(exchange, None, {})
            self.send(head(refusal, _last(refusal)) + refusal.body)
            return False
        self._request_in_progress = True
        self._server.outbox.under_way += 1
        try:
            await self._serve(exchange)
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
        whole = exchange.payload.ended or await self._lingered(exchange.payload)
        if exchange.closing or self._close or not whole:
            return False
        if self._held:
            self._regulate()
        self._keep_alive()
        return True

    def _apologise(self, exchange: Exchange) -> None:
        exchange.closing = True
        exchange.answer(error_reply(parse_error(500, None), None, {}))

    async def _lingered(self, payload: RequestBody) -> bool:
        """Read the rest of a body that nobody wanted away, so that the client gets to read why; whether it ended."""
        try:
            async with asyncio.timeout(self._lingering_time) as scope:
                while await payload.readany():
                    pass
        except TimeoutError:
            if not scope.expired():
                raise
        except RequestPayloadError:
            return False
        return payload.ended

    def _keep_alive(self) -> None:
        """Let an idle client be; aiohttp's timer looks at the time when it fires, and sleeps on."""
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(self._next_keepalive_close_time, self._process_keepalive)


def _last(reply: Reply) -> str:
    return f"content-length: {len(reply.body)}\r\nconnection: close\r\n"
