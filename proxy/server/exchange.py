"""One request of a client, and the bytes that answer it."""

import asyncio
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Protocol

from aiohttp.helpers import rfc822_formatted_time
from msgspec import Struct

from proxy.messages import NO_HEADERS, Reply, quiet
from proxy.server.body import CONTINUE, RequestBody

_STATUS_LINES = {
    (minor, status.value): f"HTTP/1.{minor} {status.value} {status.phrase}\r\n"
    for minor in (0, 1)
    for status in HTTPStatus
}

_BREAK = re.compile(r"[\r\n\0]")


class Wire(Protocol):
    """The connection, as one of its exchanges sees it."""

    address: str
    """Where the client is."""

    @property
    def gone(self) -> bool:
        """Whether the client has left."""

    @property
    def leaving(self) -> bool:
        """Whether the listener wants to be rid of its connections."""

    @property
    def task(self) -> "asyncio.Task[None]":
        """The task that answers all its exchanges."""

    def send(self, data: bytes) -> bool:
        """Write to the client; say whether it is behind with reading. Raises ConnectionError."""

    def abort(self) -> None:
        """Reset the connection, behind what was written."""

    async def room(self) -> None:
        """Wait until the socket takes more. Raises ConnectionError."""


class Exchange(Struct, eq=False):
    """One request of a client, and the way to answer it.

    Writing raises ConnectionError when the client is gone.
    """

    connection: Wire
    method: str
    path: str
    """The raw request target."""
    headers: Mapping[str, str]
    """By lower-case names."""
    payload: RequestBody
    modern: bool
    """Whether the client speaks HTTP/1.1, and so knows chunks and interim answers."""
    closing: bool
    """Whether the connection ends with this answer."""
    begun: bool = False
    """Whether something of the answer was written."""
    _held: bytes = b""
    __repr__ = quiet

    @property
    def gone(self) -> bool:
        """Whether the client has left."""
        return self.connection.gone

    @property
    def task(self) -> "asyncio.Task[None]":
        """The task that answers it, and all others of its connection."""
        return self.connection.task

    def proceed(self) -> None:
        """Tell the client to send its body; no part of the answer."""
        self.connection.send(CONTINUE)

    def answer(self, reply: Reply, lines: str = "") -> bool:
        """Write a whole answer, with these header lines beside its own; say whether the client has no room for more."""
        self.begun = True
        head = self._head(reply, f"{lines}content-length: {len(reply.body)}\r\n")
        return self.connection.send(head if self.method == "HEAD" else head + reply.body)

    def begin(self, reply: Reply, lines: str) -> None:
        """Make the head of an answer that comes in pieces, with these header lines; it goes out with the first piece.

        What was asked is let go of: the pieces may take minutes to come.
        """
        self.begun = True
        self.headers = NO_HEADERS
        if self.modern:
            self._held = self._head(reply, f"{lines}transfer-encoding: chunked\r\n")
        else:  # it knows no chunks: the end of the connection is the body's
            self.closing = True
            self._held = self._head(reply, lines)

    def write(self, piece: bytes) -> bool:
        """Write a piece, not empty; say whether the client has no room for more at the moment."""
        if self.modern:
            piece = b"%x\r\n%b\r\n" % (len(piece), piece)
        if self._held:
            piece, self._held = self._held + piece, b""
        return self.connection.send(piece)

    def end(self, piece: bytes) -> bool:
        """Write the last piece, which may be empty, and the end; say whether the client has no room at the moment."""
        if self.modern:
            piece = b"%x\r\n%b\r\n0\r\n\r\n" % (len(piece), piece) if piece else b"0\r\n\r\n"
        last, self._held = self._held + piece, b""
        return self.connection.send(last) if last else False

    def abort(self) -> None:
        """Reset the connection: the client must not take what it got for an answer."""
        self.connection.abort()

    async def drained(self) -> None:
        """Wait until the client has room for more. Where it stands still, the guard ends the connection."""
        await self.connection.room()

    def _head(self, reply: Reply, lines: str) -> bytes:
        if self.closing or self.connection.leaving:
            self.closing = True
            lines += "connection: close\r\n"
        elif not self.modern:
            lines += "connection: keep-alive\r\n"
        return head(reply, lines, minor=1 if self.modern else 0)


def head(reply: Reply, lines: str, *, minor: int = 1) -> bytes:
    """Write status line and headers, and `lines` of ours. Raises ValueError for a line break in a header."""
    first = _STATUS_LINES.get((minor, reply.status)) or f"HTTP/1.{minor} {reply.status} \r\n"
    named = ""
    for name, value in reply.headers.items():
        line = f"{name}: {value}"
        if not line.isprintable() and _BREAK.search(line):
            raise ValueError("a header of an answer holds a line break")
        named += line + "\r\n"
    return f"{first}{named}date: {rfc822_formatted_time()}\r\n{lines}\r\n".encode("utf-8", "surrogateescape")
