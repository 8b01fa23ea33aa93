"""Just enough HTTP/1.1 to read one message off an asyncio stream; what both ends of the lab share.

Deliberately small and separate from aiohttp's parser: a bug in that parser must not be able to hide itself here.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field


class IncompleteMessage(Exception):  # noqa: N818  named like asyncio's IncompleteReadError
    """The peer ended the connection before its message was complete (RFC 9112 section 8)."""


class Headers(list[tuple[str, str]]):
    """Header lines in the order and spelling of the wire, asked for without regard to case."""

    def get(self, name: str, default: str | None = None) -> str | None:
        """Return the first value of that name."""
        return next((value for key, value in self if key.lower() == name.lower()), default)

    def all(self, name: str) -> list[str]:
        """Return every value of that name."""
        return [value for key, value in self if key.lower() == name.lower()]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None


@dataclass(frozen=True, slots=True)
class Head:
    """A start line and its headers."""

    start: str
    headers: Headers = field(default_factory=Headers)


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """Read up to the blank line; None when the peer ended before the first byte."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as end:
        if not end.partial:
            return None
        raise IncompleteMessage("the peer left within the headers") from end
    start, *lines = raw[:-4].decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return Head(start, Headers((name, value.strip()) for name, _, value in pairs))


async def pieces(reader: asyncio.StreamReader, headers: Headers, *, until_close: bool) -> AsyncIterator[bytes]:
    """Yield a body as it arrives, without its framing. `until_close`: a response may end with the connection."""
    try:
        if "chunked" in (headers.get("transfer-encoding") or "").lower():
            async for chunk in _chunks(reader):
                yield chunk
        elif length := headers.get("content-length"):
            left = int(length)
            while left:
                piece = await reader.read(min(left, 65536))
                if not piece:
                    raise IncompleteMessage(f"{left} bytes of the body are missing")
                left -= len(piece)
                yield piece
        elif until_close:
            while piece := await reader.read(65536):
                yield piece
    except (asyncio.IncompleteReadError, ConnectionError) as end:
        raise IncompleteMessage("the peer left within the body") from end
    except ValueError as nonsense:
        raise IncompleteMessage("the framing is no number") from nonsense


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Decode the chunked coding; trailers are read and dropped."""
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        chunk = await reader.readexactly(size + 2)
        yield chunk[:-2]
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass


def reset(transport: asyncio.BaseTransport) -> None:
    """Close with an RST: SO_LINGER of zero seconds throws away what was not delivered."""
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if isinstance(transport, asyncio.WriteTransport):
        transport.abort()
