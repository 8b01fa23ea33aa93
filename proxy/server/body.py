"""Reading a request's body within its limits, the same on both listeners."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

from aiohttp.web_exceptions import HTTPException
from aiohttp.web_protocol import RequestPayloadError
from msgspec import Struct, field

from proxy.config.snapshot import Limits
from proxy.errors import ClientError
from proxy.messages import quiet

SPREAD = 0.1
"""Share of `body_time` over which the ends of many slow bodies are spread, so that they do not all end at once."""
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


READ_BUFFER = 64 * 1024
"""Bytes of a body that wait to be read, before its client has to wait with sending more."""


class Payload(Protocol):
    """A body as it arrives: ours, or aiohttp's `StreamReader`. Reading raises its RequestPayloadError."""

    def is_eof(self) -> bool:
        """Whether all of it has come."""

    def read_nowait(self) -> bytes:
        """Return what has come and was not read."""

    async def readany(self) -> bytes:
        """Return the next bytes, `b""` at the end."""


class RequestBody(Struct, eq=False):
    """A body as it arrives."""

    _loop: asyncio.AbstractEventLoop
    _read: Callable[[], object]
    """Told when much of it was read."""
    _pieces: list[bytes] = field(default_factory=list)
    size: int = 0
    """Bytes that have come and were not read."""
    ended: bool = False
    """Whether all of it has come."""
    _broken: bool = False
    _waiter: asyncio.Future[None] | None = None
    __repr__ = quiet

    def is_eof(self) -> bool:
        """Whether all of it has come."""
        return self.ended

    def read_nowait(self) -> bytes:
        """Return what has come and was not read."""
        pieces, size = self._pieces, self.size
        self._pieces, self.size = [], 0
        if size > READ_BUFFER:
            self._read()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def readany(self) -> bytes:
        """Return the next bytes, `b""` at the end. Raises RequestPayloadError when it is not framed as it should be."""
        while not self.size:
            if self._broken:
                raise RequestPayloadError
            if self.ended:
                return b""
            self._waiter = self._loop.create_future()
            await self._waiter
        return self.read_nowait()

    def take(self, piece: bytes) -> None:
        """More has come."""
        self._pieces.append(piece)
        self.size += len(piece)
        if self._waiter is not None:
            self._wake(self._waiter)

    def end(self, *, broken: bool = False) -> None:
        """Nothing more comes: it is complete, or `broken`."""
        self.ended, self._broken = not broken, broken
        if self._waiter is not None:
            self._wake(self._waiter)

    def _wake(self, waiter: "asyncio.Future[None]") -> None:
        if not waiter.done():
            waiter.set_result(None)


async def read_body(
    payload: Payload,
    headers: Mapping[str, str],
    limits: Limits,
    proceed: Callable[[], None] | None,
    draw: float = 0.0,
) -> bytes:
    """Read the whole body within its limits. Raises ClientError 400, 408, 413, 415 or 417.

    `headers` are looked up in lower case. `proceed` tells the client to send what it asked about; None: it knows no
    such thing (HTTP/1.0). `draw` is from [0, 1).
    """
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise ClientError("a compressed body is not taken", status=415, code="unsupported_media_type")
    if int(headers.get("content-length", 0)) > limits.body:
        raise _too_large(limits)
    expectation = headers.get("expect")
    if expectation is not None and proceed is not None:
        if expectation.lower() != "100-continue":
            raise ClientError("only 'Expect: 100-continue' is understood", status=417, code="expectation_failed")
        proceed()  # only now, when the body is going to be read (RFC 9110 section 10.1.1)
    try:
        if payload.is_eof():  # as a rule it came along with the headers
            body = payload.read_nowait()
            if len(body) > limits.body:
                raise _too_large(limits)
            return body
        async with asyncio.timeout(limits.body_time * (1.0 + SPREAD * draw)):
            return await _read(payload, limits)
    except TimeoutError:
        message = f"the body did not arrive within {limits.body_time:g} s"
        raise ClientError(message, status=408, code="body_too_slow") from None
    except (RequestPayloadError, HTTPException, ValueError):
        raise ClientError("the body is not framed as HTTP/1.1 says", code="bad_http") from None


async def _read(payload: Payload, limits: Limits) -> bytes:
    pieces = []
    size = 0
    while piece := await payload.readany():
        size += len(piece)
        if size > limits.body:
            raise _too_large(limits)
        pieces.append(piece)
    return b"".join(pieces)


def _too_large(limits: Limits) -> ClientError:
    return ClientError(f"the body is larger than {limits.body} bytes", status=413, code="body_too_large")
