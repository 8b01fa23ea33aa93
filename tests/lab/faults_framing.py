"""Faults of HTTP itself: slow and endless messages, false codings, lengths and statuses."""

import gzip

from lab.exchange import Exchange
from lab.fault import Fault, fault
from lab.wire import Left

ENDLESS = 200_000
"""Pieces of 512 bytes: 100 MB, in case that nobody ever objects."""

# Slow and huge


@fault
async def slow_headers(exchange: Exchange, how: Fault) -> None:
    """`slow_headers:SECONDS` (1): the answer's headers, a byte at a time with that pause."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {exchange.kind}\r\nContent-Length: {len(exchange.body)}\r\n\r\n"
    await exchange.wire.drip(head.encode(), how.number(1))
    await exchange.wire.send(exchange.body)


@fault
async def slow_body(exchange: Exchange, how: Fault) -> None:
    """`slow_body:SECONDS` (1): headers at once, then the body a byte at a time with that pause."""
    await exchange.open_answer()
    await exchange.wire.drip(exchange.body, how.number(1))


@fault
async def endless_headers(exchange: Exchange, _: Fault) -> None:
    """Header lines for as long as somebody reads."""
    await exchange.wire.send(b"HTTP/1.1 200 OK\r\n")
    for number in range(ENDLESS):
        await exchange.wire.send(b"X-Filler-%d: %b\r\n" % (number, b"x" * 512))
    raise Left


@fault
async def endless_header(exchange: Exchange, _: Fault) -> None:
    """One header line for as long as somebody reads."""
    await exchange.wire.send(b"HTTP/1.1 200 OK\r\nX-Filler: ")
    for _number in range(ENDLESS):
        await exchange.wire.send(b"x" * 512)
    raise Left


@fault
async def huge_body(exchange: Exchange, how: Fault) -> None:
    """`huge_body:MIB` (100): JSON with that much filler in front of the choices, chunked."""
    await exchange.head(200, {"Content-Type": "application/json", "Transfer-Encoding": "chunked"})
    await exchange.chunk(b'{"filler": "')
    for _number in range(how.count(100) * 16):
        await exchange.chunk(b"x" * 65536)
    await exchange.chunk(b'", ' + exchange.body.lstrip(b"{"))
    await exchange.end()


# False framing and coding


@fault
async def gzipped(exchange: Exchange, _: Fault) -> None:
    """An honest answer under Content-Encoding: gzip, whatever was accepted."""
    await exchange.reply(200, gzip.compress(exchange.body), exchange.kind, {"Content-Encoding": "gzip"})


@fault
async def gzip_bomb(exchange: Exchange, how: Fault) -> None:
    """`gzip_bomb:MIB` (100): that much of nothing, compressed a thousandfold."""
    bomb = gzip.compress(b" " * (how.count(100) << 20), 6)
    await exchange.reply(200, bomb, headers={"Content-Encoding": "gzip"})


@fault
async def false_gzip(exchange: Exchange, _: Fault) -> None:
    """A plain body that calls itself gzip."""
    await exchange.reply(200, exchange.body, exchange.kind, {"Content-Encoding": "gzip"})


@fault
async def wrong_length(exchange: Exchange, _: Fault) -> None:
    """A Content-Length ten short of the body: the rest stands where the next answer should."""
    await exchange.head(200, {"Content-Type": exchange.kind, "Content-Length": str(len(exchange.body) - 10)})
    await exchange.wire.send(exchange.body)


@fault
async def double_length(exchange: Exchange, _: Fault) -> None:
    """Two different Content-Lengths."""
    lengths = [("Content-Length", str(len(exchange.body))), ("Content-Length", str(len(exchange.body) - 10))]
    await exchange.head(200, [("Content-Type", exchange.kind), *lengths])
    await exchange.wire.send(exchange.body)


@fault
async def length_and_chunked(exchange: Exchange, _: Fault) -> None:
    """Content-Length beside Transfer-Encoding: chunked (RFC 9112 section 6.3: a smuggling attempt)."""
    await exchange.head(200, {"Content-Type": exchange.kind, "Content-Length": "5", "Transfer-Encoding": "chunked"})
    await exchange.chunk(exchange.body)
    await exchange.end()


@fault
async def bad_chunk(exchange: Exchange, how: Fault) -> None:
    """`bad_chunk:SECONDS` (0): a chunk size that is no number, so long after a good chunk."""
    await exchange.head(200, {"Content-Type": exchange.kind, "Transfer-Encoding": "chunked"})
    await exchange.chunk(exchange.half)
    await exchange.wire.pause(how.number(0))
    await exchange.wire.send(b"zz\r\nnonsense\r\n")


@fault
async def header_nul(exchange: Exchange, _: Fault) -> None:
    """A NUL within a header's value."""
    await _with_header(exchange, "a\0b")


@fault
async def header_cr(exchange: Exchange, _: Fault) -> None:
    """A bare CR within a header's value."""
    await _with_header(exchange, "a\rb")


@fault
async def status_line(exchange: Exchange, how: Fault) -> None:
    """`status_line:N` (999): an honest body under a status that does not exist."""
    await exchange.reply(how.count(999), exchange.body, exchange.kind)


@fault
async def switching(exchange: Exchange, _: Fault) -> None:
    """101 to a request that asked for no upgrade."""
    await exchange.head(101, {"Connection": "Upgrade", "Upgrade": "websocket"})
    await exchange.wire.send(b"\x81\x05hello")


@fault
async def no_content(exchange: Exchange, _: Fault) -> None:
    """204 with a body, which stands where the next answer should."""
    await exchange.reply(204, exchange.body, exchange.kind)


@fault
async def early_hints(exchange: Exchange, _: Fault) -> None:
    """103, then an honest answer: legal, and to be survived."""
    await exchange.head(103, {"Link": "</style.css>; rel=preload"}, "Early Hints")
    await exchange.answer()


@fault
async def garbage(exchange: Exchange, _: Fault) -> None:
    """Something that is not HTTP."""
    await exchange.wire.send(b"SSH-2.0-OpenSSH_9.7\r\n")
    exchange.wire.finish()


# Helpers


async def _with_header(exchange: Exchange, value: str) -> None:
    await exchange.reply(200, exchange.body, exchange.kind, {"X-Odd": value})
