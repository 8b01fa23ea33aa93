"""A raw HTTP/1.1 client: writes any bytes at any pace, half-closes, resets, and reports exactly what came back."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from lab import http1


@dataclass(slots=True)
class Response:
    """One answer as it stood on the wire, the body without its framing."""

    status: int
    headers: http1.Headers
    body: bytes = b""
    complete: bool = True
    """False when the connection ended before the framing said so."""
    interim: list[int] = field(default_factory=list)
    """The 1xx statuses that came before it."""

    def json(self) -> Any:
        """Parse the body."""
        return json.loads(self.body)

    def events(self) -> list[str]:
        """Return the data of every server-sent event in the body."""
        blocks = self.body.decode().replace("\r\n", "\n").split("\n\n")
        data = ([line[5:].removeprefix(" ") for line in block.split("\n") if line[:5] == "data:"] for block in blocks)
        return ["\n".join(lines) for lines in data if lines]


class RawClient:
    """One connection. Use as `async with RawClient(port) as client`."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.host, self.port = host, port

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection(self.host, self.port, limit=2**20)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            return  # the peer reset it, which is what many tests are about

    async def send(self, data: bytes) -> None:
        """Write bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def drip(self, data: bytes, pause: float) -> None:
        """Write byte by byte with a pause of seconds after each."""
        for position in range(len(data)):
            await self.send(data[position : position + 1])
            await asyncio.sleep(pause)

    async def half_close(self) -> None:
        """Send a FIN and go on reading."""
        self.writer.write_eof()
        await self.writer.drain()

    def abort(self) -> None:
        """Reset the connection: an RST, not a FIN."""
        http1.reset(self.writer.transport)

    async def head(self) -> Response:
        """Read status and headers of the next answer, past any 1xx; the body is left on the wire."""
        interim: list[int] = []
        while True:
            head = await http1.read_head(self.reader)
            if head is None:
                raise http1.IncompleteMessage("closed without an answer")
            status = int(head.start.split(" ", 2)[1])
            if status >= 200 or status == 101:
                return Response(status, head.headers, interim=interim)
            interim.append(status)

    def pieces(self, response: Response) -> AsyncIterator[bytes]:
        """Yield the body as it arrives; raises `IncompleteMessage` when it is cut."""
        return http1.pieces(self.reader, response.headers, until_close=True)

    async def response(self, *, method: str = "POST") -> Response:
        """Read a whole answer; a cut body is returned with `complete=False`."""
        response = await self.head()
        if method == "HEAD" or response.status in (101, 204, 304):
            return response
        try:
            async for piece in self.pieces(response):
                response.body += piece
        except http1.IncompleteMessage:
            response.complete = False
        return response

    async def ask(self, data: bytes, *, method: str = "POST") -> Response:
        """Send a request and read its whole answer."""
        await self.send(data)
        return await self.response(method=method)

    async def closed(self, within: float) -> bool:
        """Tell whether the peer ends the connection within that many seconds, reading whatever it still says."""
        try:
            async with asyncio.timeout(within):
                while await self.reader.read(65536):
                    pass
        except TimeoutError:
            return False
        except ConnectionError:
            return True
        return True


def request(
    method: str = "POST",
    target: str = "/v1/chat/completions",
    document: object = None,
    *,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> bytes:
    """Write a well-formed request; `document` is sent as JSON, `body` as it is."""
    payload = json.dumps(document).encode() if document is not None else body
    fields = {"Host": "127.0.0.1"}
    if document is not None:
        fields["Content-Type"] = "application/json"
    if payload is not None:
        fields["Content-Length"] = str(len(payload))
    fields |= headers or {}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + (payload or b"")
