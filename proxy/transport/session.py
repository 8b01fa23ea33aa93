"""One HTTP/1.1 exchange with a provider: write the request, wait for the head, hand out the body as it comes."""

import asyncio
from collections.abc import Awaitable, Mapping

import aiohttp
from aiohttp.http_writer import _serialize_headers
from msgspec import Struct
from multidict import CIMultiDict

from proxy.config.snapshot import Tls
from proxy.errors import ErrorClass, Failure
from proxy.messages import Head, WireRequest, quiet
from proxy.transport.connection import PIECE, Take, UpstreamConnection
from proxy.transport.failures import MalformedError, TooLateError, translate
from proxy.transport.inflate import InflateError, Inflater
from proxy.transport.pool import Origin, Pool

MAX_ANSWER = 64 * 1024 * 1024
"""Bytes of one complete plain answer (several large images as base64)."""
MAX_ERROR = 256 * 1024
"""Bytes of an error body that are read."""
STALE_WITHIN = 1.0
"""Seconds after writing within which a pooled connection that closes was closed already. A provider that has thought
for longer may have done the work, and bills it: that is a failure like any other."""

HEADS = 256
"""Written header blocks that are remembered: one for each provider and kind of question, as a rule."""

_TROUBLE = (TooLateError, MalformedError, aiohttp.ClientError, OSError, ValueError)
"""What may become of an exchange."""


class AttemptError(Exception):
    """Carries a `Failure` up to where the turn is decided."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class LateError(AttemptError):
    """The answer did not come in time; who asked knows what that means."""

    def __init__(self) -> None:
        super().__init__(Failure(error_class=ErrorClass.TIMEOUT, message="the provider did not answer in time"))


class Upstream(Struct, eq=False):
    """An upstream answer whose head has arrived. Its holder closes it; read to its end, it is back in the pool."""

    method = "POST"
    """What aiohttp-retry looks at; which methods may be repeated is decided by the turn."""

    status: int
    head: Head
    _pool: Pool
    _origin: Origin
    _connection: UpstreamConnection | None
    _inflater: Inflater | None
    _rest: bytes = b""
    """What came before the connection was given back."""
    _dropped: bool = False
    _more: bool = False
    """Whether as much was read last as is read at once."""
    __repr__ = quiet

    @property
    def doomed(self) -> bool:
        """Whether the answer is known to break off after what is left to read of it."""
        return self._connection is not None and self._connection.broken

    def end_by(self, due: float) -> None:
        """Move the end of the time that the rest of the answer has (the loop's time); `inf`: no clock runs."""
        if self._connection is not None:
            self._connection.end_by(due)

    async def read_all(self, limit: int) -> bytes:
        """Return the complete body, at most `limit` bytes, or raise AttemptError (`broken`, or LateError)."""
        body = self._rest
        if self._connection is None and self._inflater is None and 0 < len(body) <= limit:
            self._rest = b""
            return body
        pieces = []
        size = 0
        while piece := await self._next(limit):
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
        piece = await self._next(PIECE)
        self._more = len(piece) >= PIECE
        return piece

    def flow(self, take: Take) -> Awaitable[None]:
        """Hand on what comes as it comes, until `take` returns False or `read_some` has something to say."""
        if self._connection is None or self._inflater is not None:
            return _nothing()
        return self._connection.flow(take)

    def close(self) -> None:
        """Close the connection at once unless the answer was read to its end; whoever waits in a read is woken."""
        connection = self._connection
        if connection is not None:
            self._connection = None
            self._dropped = True
            connection.wake(aiohttp.ClientConnectionError("closed"))
            connection.discard()

    def _next(self, limit: int) -> Awaitable[bytes]:
        """The next bytes, unpacked where they came packed."""
        return self._read(limit) if self._inflater is None else self._unpacked(self._inflater)

    async def _read(self, limit: int) -> bytes:
        """Return the next bytes as they came; with the last ones the connection is given back."""
        connection = self._connection
        try:
            if connection is None:
                return self._left(limit)
            data = await connection.read(limit)
        except _TROUBLE as error:
            raise _told(error) from error
        if connection.finished:
            self._give_back()
        return data

    async def _unpacked(self, inflater: Inflater) -> bytes:
        """Unpack what came although we asked for no packing; bounded, so that a bomb is a broken answer."""
        try:
            while data := await self._read(PIECE):
                if plain := inflater.feed(data):
                    return plain
            return inflater.close()
        except InflateError as error:
            self.close()
            raise AttemptError(_broken(str(error))) from error

    def _left(self, limit: int) -> bytes:
        """What came before the connection was given back; an answer that was dropped has nothing left to read."""
        if self._dropped:
            raise aiohttp.ClientConnectionError("closed")
        data, self._rest = self._rest[:limit], self._rest[limit:]
        return data

    def _give_back(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.give_back(self._origin, connection)


class Transport:
    """Dials providers. One pool per TLS identity, made on first use and kept over reloads."""

    def __init__(self) -> None:
        self._pools: dict[Tls, Pool] = {}
        self._heads: dict[object, bytes] = {}
        """Header blocks without what varies, by what they were written from."""

    async def send(
        self, wire: WireRequest, *, connect: float, until: float, tls: Tls, traceparent: str = ""
    ) -> Upstream:
        """Send one request and wait for the head of its answer.

        `connect` bounds DNS, TCP and TLS together, in seconds; `until`, the loop's time, the whole answer, body
        included. Raises AttemptError, LateError when that time has come. A pooled connection that turns out to be
        closed is repeated once on a new one: that is the pool's staleness, not the provider's failure.
        """
        pool = self._pool(tls)
        try:
            origin, target = pool.origin(wire.url, fixed=wire.body is not None)  # a picture's holds a prompt
            request = self._write(wire, origin, target, traceparent)
            connection = pool.take(origin)
            if connection is not None:
                try:
                    return await _exchange(pool, origin, connection, request, until)
                except _StaleError:
                    pass
            connection = await pool.dial(origin, min(connect, max(0.001, until - pool.time())))
            return await _exchange(pool, origin, connection, request, until)
        except _TROUBLE as error:
            raise _told(error) from error

    async def close(self) -> None:
        """Close every pool."""
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            await pool.close()

    def _pool(self, tls: Tls) -> Pool:
        pool = self._pools.get(tls)
        if pool is None:
            try:
                pool = self._pools[tls] = Pool(tls)
            except OSError as error:
                message = "the certificate files for the provider cannot be read"
                raise AttemptError(Failure(error_class=ErrorClass.CONNECT, message=message, sent=False)) from error
        return pool

    def _write(self, wire: WireRequest, origin: Origin, target: str, traceparent: str) -> bytes:
        """Frame the request: exactly one `Host`, exactly one length. Raises ValueError for a line break in it."""
        key = (origin, *wire.headers, *wire.headers.values())
        head = self._heads.get(key)
        if head is None:
            if len(self._heads) >= HEADS:
                self._heads.clear()
            head = self._heads[key] = _header_block(origin, wire.headers)
        parent = f"traceparent: {traceparent}\r\n" if traceparent else ""
        first = f"{wire.method} {target} HTTP/1.1\r\n{parent}"
        if wire.body is None:
            return b"%b%b\r\n" % (first.encode(), head)
        return b"%bcontent-length: %d\r\n%b\r\n%b" % (first.encode(), len(wire.body), head, wire.body)


async def _nothing() -> None:
    """What only `read_some` can hand out."""


class _StaleError(Exception):
    """A pooled connection was closed by the other side before it answered."""


async def _exchange(
    pool: Pool, origin: Origin, connection: UpstreamConnection, request: bytes, until: float
) -> Upstream:
    """Ask, and wait for the head."""
    pooled, written = connection.answers > 0, pool.time()
    pool.outbox.under_way += 1
    try:
        connection.ask(request, until)
        await connection.head()
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
        connection.discard()
        if pooled and pool.time() - written < STALE_WITHIN:
            raise _StaleError from error
        raise
    except BaseException:
        connection.discard()
        raise
    finally:
        pool.outbox.under_way -= 1
    if not 200 <= connection.status < 600:
        connection.discard()
        raise AttemptError(_broken("the provider answered with a status that means nothing here"))
    return _begun(pool, origin, connection)


def _begun(pool: Pool, origin: Origin, connection: UpstreamConnection) -> Upstream:
    status, headers = connection.status, connection.headers
    coding = headers.get("content-encoding")
    plain = coding is None or coding.strip().lower() in {"", "identity"}
    inflater = None if plain else Inflater(coding or "")
    head = Head(status, headers)
    if not connection.complete:
        return Upstream(status, head, pool, origin, connection, inflater)
    rest = connection.take(MAX_ANSWER)  # as a rule, a plain answer comes whole
    pool.give_back(origin, connection)
    return Upstream(status, head, pool, origin, None, inflater, rest)


def _header_block(origin: Origin, headers: Mapping[str, str]) -> bytes:
    """Write the lines that are the same for every request like this; aiohttp refuses a line break in them."""
    fields = CIMultiDict(host=origin.host)
    fields.update(headers)
    return _serialize_headers("", fields)[2:-2]


def _told(error: Exception) -> AttemptError:
    """Translate what became of an exchange."""
    if isinstance(error, TooLateError):
        return LateError()
    if isinstance(error, MalformedError):
        return AttemptError(_broken("the provider's answer is not well-formed HTTP"))
    return AttemptError(translate(error, sent=True))


def _broken(message: str) -> Failure:
    return Failure(error_class=ErrorClass.BROKEN, message=message)
