"""What a client sends: one request after the other, each with its body.

The parser is llhttp, strict, through httptools: the one that reads the answers of providers, too. It hands bytes on
as they come, where aiohttp's own makes a URL, a map of headers, a message and a reader for every request. What llhttp
does not bound is bounded here, and what RFC 9112 asks of a server beside syntax is asked here.
"""

import asyncio
from collections.abc import Callable

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpRequestParser

from proxy.errors import ClientError
from proxy.server.body import RequestBody
from proxy.server.exchange import Exchange, Wire
from proxy.server.guard import MAX_HEADERS, MAX_LINE, malformed, too_long, too_many

MAX_HEAD = 16 * MAX_LINE
"""Bytes that may come until a head is complete."""
SINGLE = frozenset({"host", "content-length", "transfer-encoding", "content-type", "user-agent"})
"""Headers that may not be sent twice: two readers of the same request could believe different ones."""
VERSIONS = frozenset({"1.0", "1.1"})


class Incoming:
    """Reads one connection, and puts each request where it is answered as soon as its head is complete."""

    __slots__ = (
        "_head_size",
        "_headers",
        "_ignored",
        "_in_head",
        "_loop",
        "_offered",
        "_parser",
        "_put",
        "_read",
        "_silent",
        "_target",
        "_wire",
        "body",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        wire: Wire,
        put: Callable[[Exchange], object],
        read: Callable[[], object],
    ) -> None:
        self._loop = loop
        self._wire = wire
        self._put = put
        self._read = read
        """Told when much of a body was read."""
        self._target = b""
        self._headers: dict[str, str] = {}
        self._ignored = 0
        """Lines that were not looked at."""
        self._head_size = 0
        self._offered = False
        """Whether this request offers another protocol: then the parser leaves all that follows to us."""
        self._silent = False
        """Whether the parser reads what a client did not send."""
        self._in_head = False
        """Whether a head has begun and is not complete."""
        self.body: RequestBody | None = None
        """Of the request whose head came last."""
        self._parser: HttpRequestParser | None = HttpRequestParser(self)

    def feed(self, data: bytes) -> ClientError | None:
        """Parse; return what is wrong where no request can say it. What is not HTTP ends all parsing."""
        try:
            while self._parser is not None:
                try:
                    self._parser.feed_data(data)
                except HttpParserUpgrade as offer:
                    data = data[offer.args[0] :]
                    self._decline()
                else:
                    break
        except HttpParserError as error:
            return self._refuse(error)
        if self._in_head:
            self._head_size += len(data)
            if self._head_size > MAX_HEAD:
                self.close()
                return too_long()
        return None

    def close(self) -> None:
        """Nothing is read any more."""
        self._parser = None  # which holds on to this
        self._in_head = False

    def _refuse(self, error: HttpParserError) -> ClientError | None:
        """A request that has begun tells it itself, with its body."""
        self.close()
        if self.body is not None and not self.body.ended:
            self.body.end(broken=True)
            return None
        told = error.__context__ if isinstance(error, HttpParserCallbackError) else None
        return told.with_traceback(None) if isinstance(told, ClientError) else malformed()

    def _decline(self) -> None:
        """Go on in HTTP/1.1, as a server may (RFC 9110 section 7.8): a new parser is told how the body is framed."""
        headers, self._offered = self._headers, False
        framing = [
            f"{name}: {headers[name]}\r\n" for name in ("content-length", "transfer-encoding") if name in headers
        ]
        self._parser = HttpRequestParser(self)
        self._silent = True
        self._parser.feed_data(f"POST / HTTP/1.1\r\nhost: a\r\n{''.join(framing)}\r\n".encode())
        self._silent = False

    # What the parser tells; whatever these raise ends the parsing

    def on_message_begin(self) -> None:
        """A request begins."""
        if not self._silent:
            self._target, self._headers = b"", {}
            self._ignored = self._head_size = 0
            self._in_head, self.body = True, None

    def on_url(self, piece: bytes) -> None:
        """Its target, or a piece of it."""
        self._target += piece
        if len(self._target) > MAX_LINE:
            raise too_long()

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or one trailer, which must not say what only a header may."""
        if len(name) + len(value) > MAX_LINE:
            raise too_long()
        headers, known = self._headers, name.decode().lower()
        if self._in_head and known not in headers:
            if len(headers) >= MAX_HEADERS:
                raise too_many()
            headers[known] = value.rstrip(b" \t").decode("utf-8", "surrogateescape")
            return
        self._ignored += 1
        if self._ignored > MAX_HEADERS or (known in SINGLE and not self._silent):
            raise malformed()

    def on_headers_complete(self) -> None:
        """The head is whole."""
        parser = self._parser
        if self._silent or parser is None:
            return
        self._in_head = False
        version = parser.get_http_version()
        if version not in VERSIONS or (version == "1.1" and "host" not in self._headers):
            raise malformed()
        self._offered = parser.should_upgrade()
        self.body = RequestBody(self._loop, self._read)
        exchange = Exchange(
            self._wire,
            parser.get_method().decode(),
            self._target.decode("utf-8", "surrogateescape"),
            self._headers,
            self.body,
            version == "1.1",
            not parser.should_keep_alive(),
        )
        if not self._offered:
            self._headers = {}  # the exchange may let go of them
        self._put(exchange)

    def on_body(self, piece: bytes) -> None:
        """A piece of its body."""
        if self.body is not None:
            self.body.take(piece)

    def on_message_complete(self) -> None:
        """All of it has come."""
        if self.body is not None and not self._offered:
            self.body.end()
