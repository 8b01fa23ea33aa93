"""One HTTP/1.1 exchange with a provider: write the request, wait for the head, hand out the body as it comes."""

import asyncio
from collections.abc import Mapping

import aiohttp
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_writer import _serialize_headers
from aiohttp.streams import StreamReader
from multidict import CIMultiDict

from proxy.config.snapshot import Tls
from proxy.errors import ErrorClass, Failure
from proxy.messages import Head, WireRequest
from proxy.transport.failures import translate
from proxy.transport.inflate import InflateError, Inflater
from proxy.transport.pool import Origin, Pool, UpstreamProtocol

READ_BUFFER = 16 * 1024
"""Bytes per connection before the upstream is told to wait; aiohttp's 256 KiB would cost 1.3 MB for a slow stream."""
PIECE = 16 * 1024
"""Bytes of a stream that are handled in one turn of the event loop."""
MAX_ANSWER = 64 * 1024 * 1024
"""Bytes of one complete plain answer (several large images as base64)."""
MAX_ERROR = 256 * 1024
"""Bytes of an error body that are read."""
MAX_HEADER = 32 * 1024
MAX_HEADERS = 256
STALE_WITHIN = 1.0
"""Seconds after writing within which a pooled connection that closes was closed already. A provider that has thought
for longer may have done the work, and bills it: that is a failure like any other."""

_NETWORK = (aiohttp.ClientError, OSError, ValueError)


class AttemptError(Exception):
    """Carries a `Failure` up to where the turn is decided."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Upstream:
    """An upstream answer whose head has arrived. Its holder closes it; read to its end, it is back in the pool."""

    __slots__ = ("_connection", "_inflater", "_more", "_payload", "head", "status")

    method = "POST"
    """What aiohttp-retry looks at; which methods may be repeated is decided by the turn."""

    def __init__(self, connection: Connection, head: Head, payload: StreamReader) -> None:
        self._connection: Connection | None = connection
        self._payload = payload
        self._inflater: Inflater | None = None
        self._more = False
        self.head = head
        self.status = head.status
        coding = head.headers.get("content-encoding", "").strip().lower()
        if coding not in {"", "identity"}:
            self._inflater = Inflater(coding)
        payload.on_eof(self._release)

    @property
    def arrived(self) -> bool:
        """Whether the whole answer is here already, so that reading it takes no time that would need a clock."""
        return self._payload.is_eof()

    async def read_all(self, limit: int) -> bytes:
        """Return the complete body, at most `limit` bytes, or raise AttemptError (`broken`)."""
        pieces = []
        size = 0
        while piece := await self._read(limit):
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                self.close()
                raise AttemptError(_broken(f"the provider's answer is larger than {limit} bytes"))
        return b"".join(pieces) if len(pieces) != 1 else pieces[0]

    async def read_some(self) -> bytes:
        """Return the next bytes, at most `PIECE`, `b""` at a proper end, or raise AttemptError (`broken`) at any other.

        A stream that has more at hand waits for its next turn: a hundred of them at full speed must not keep everybody
        else waiting.
        """
        if self._more:
            await asyncio.sleep(0)  # noqa: TID251  a turn for the others, not a wait
        piece = await self._read(PIECE)
        self._more = len(piece) >= PIECE
        return piece

    async def _read(self, limit: int) -> bytes:
        try:
            if self._inflater is None:
                return await self._payload.read(limit)
            return await self._inflated(self._inflater)
        except _NETWORK as error:
            raise AttemptError(translate(error, sent=True)) from error

    def close(self) -> None:
        """Close the connection at once unless the answer was read to its end; whoever waits in a read is woken."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._payload.exception() is None and not self._payload.is_eof():
            self._payload.set_exception(aiohttp.ClientConnectionError("closed"))
        connection.close()

    async def _inflated(self, inflater: Inflater) -> bytes:
        """Unpack what came although we asked for no packing; bounded, so that a bomb is a broken answer."""
        try:
            while data := await self._payload.readany():
                if plain := inflater.feed(data):
                    return plain
            return inflater.close()
        except InflateError as error:
            self.close()
            raise AttemptError(_broken(str(error))) from error

    def _release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        transport = connection.transport
        # An early answer to a request that is still being written leaves the connection in the middle of it.
        if transport is not None and transport.get_write_buffer_size():
            connection.close()
        else:
            connection.release()


class Transport:
    """Dials providers. One pool per TLS identity, made on first use and kept over reloads."""

    def __init__(self) -> None:
        self._pools: dict[tuple[Tls, bool], Pool] = {}

    async def send(self, wire: WireRequest, headers: Mapping[str, str], *, connect: float, tls: Tls) -> Upstream:
        """Send one request with these headers (lower-case names) and wait for the head of its answer.

        `connect` bounds DNS, TCP and TLS together, in seconds. Raises AttemptError. A pooled connection that turns out
        to be closed is repeated once on a new one: that is the pool's staleness, not the provider's failure.
        """
        try:
            return await self._exchange(wire, headers, connect, self._pool(tls, fresh=False))
        except _StaleError:
            pass
        except _NETWORK as error:
            raise AttemptError(translate(error, sent=True)) from error
        try:
            return await self._exchange(wire, headers, connect, self._pool(tls, fresh=True))
        except _NETWORK as error:
            raise AttemptError(translate(error, sent=True)) from error

    async def close(self) -> None:
        """Close every pool."""
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            await pool.close()

    async def _exchange(self, wire: WireRequest, headers: Mapping[str, str], connect: float, pool: Pool) -> Upstream:
        origin, target = pool.origin(wire.url)
        request = _write(wire, headers, origin, target)
        connection = await pool.connect(origin, connect)
        protocol = connection.protocol
        assert isinstance(protocol, UpstreamProtocol)  # noqa: S101  the pool makes no other
        pooled, written = protocol.answers > 0, pool.time()
        try:
            upstream = await _ask(connection, protocol, request)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            connection.close()
            if pooled and pool.time() - written < STALE_WITHIN:
                raise _StaleError from error
            raise
        except BaseException:
            connection.close()
            raise
        protocol.answers += 1
        return upstream

    def _pool(self, tls: Tls, *, fresh: bool) -> Pool:
        pool = self._pools.get((tls, fresh))
        if pool is None:
            try:
                pool = self._pools[tls, fresh] = Pool(tls, fresh=fresh)
            except OSError as error:
                message = "the certificate files for the provider cannot be read"
                raise AttemptError(Failure(error_class=ErrorClass.CONNECT, message=message, sent=False)) from error
        return pool


class _StaleError(Exception):
    """A pooled connection was closed by the other side before it answered."""


async def _ask(connection: Connection, protocol: UpstreamProtocol, request: bytes) -> Upstream:
    """Write the request and read the head; interim answers (1xx) are skipped."""
    protocol.set_response_params(
        read_until_eof=True,
        auto_decompress=False,
        read_bufsize=READ_BUFFER,
        max_line_size=MAX_HEADER,
        max_field_size=MAX_HEADER,
        max_headers=MAX_HEADERS,
    )
    transport = protocol.transport
    if transport is None or transport.is_closing():
        raise aiohttp.ServerDisconnectedError
    transport.write(request)
    try:
        message, payload = await protocol.read()
        while 100 <= message.code < 200 and message.code != 101:
            message, payload = await protocol.read()
    except HttpProcessingError as error:
        raise AttemptError(_broken("the provider's answer is not well-formed HTTP")) from error
    if not 200 <= message.code < 600:
        raise AttemptError(_broken("the provider answered with a status that means nothing here"))
    head = Head(message.code, {name.lower(): value for name, value in message.headers.items()})
    return Upstream(connection, head, payload)


def _write(wire: WireRequest, headers: Mapping[str, str], origin: Origin, target: str) -> bytes:
    """Frame the request: exactly one `Host`, exactly one length. Raises ValueError for a line break in a header."""
    fields = CIMultiDict(host=origin.host)
    fields.update(headers)
    if wire.body is not None:
        fields["content-length"] = str(len(wire.body))
    head = _serialize_headers(f"{wire.method} {target} HTTP/1.1", fields)
    return head if wire.body is None else head + wire.body


def _broken(message: str) -> Failure:
    return Failure(error_class=ErrorClass.BROKEN, message=message)
