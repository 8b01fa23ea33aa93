"""Faults of the connection: silence, resets, bodies that are cut, uploads that nobody reads."""

import json

from lab.exchange import Exchange
from lab.fault import Fault, at_connect, before_body, fault
from lab.wire import Left, Wire

# Silence and resets


@at_connect
async def reset_on_connect(wire: Wire) -> None:
    """RST as soon as the connection is accepted."""
    wire.reset()


@at_connect
async def close_on_connect(wire: Wire) -> None:
    """FIN as soon as the connection is accepted."""
    wire.finish()


@at_connect
async def hang_on_connect(wire: Wire) -> None:
    """Accept and never read nor answer."""
    await _leave_hanging(wire)


@fault
async def hang(exchange: Exchange, _: Fault) -> None:
    """Read the request and never answer."""
    await _leave_hanging(exchange.wire)


@fault
async def hang_after_headers(exchange: Exchange, _: Fault) -> None:
    """Send status and headers, then nothing."""
    await exchange.open_answer()
    await _leave_hanging(exchange.wire)


@fault
async def reset(exchange: Exchange, _: Fault) -> None:
    """RST after the request was read, before any byte of an answer."""
    exchange.wire.reset()


@fault
async def reset_in_headers(exchange: Exchange, _: Fault) -> None:
    """RST within the headers."""
    await exchange.wire.send(b"HTTP/1.1 200 OK\r\nContent-Ty")
    await exchange.wire.pause(0.02)
    exchange.wire.reset()


@fault
async def reset_after_headers(exchange: Exchange, _: Fault) -> None:
    """RST between headers and body."""
    await exchange.open_answer()
    await exchange.wire.pause(0.02)
    exchange.wire.reset()


@fault
async def close(exchange: Exchange, _: Fault) -> None:
    """FIN after the request was read, before any byte of an answer."""
    exchange.wire.finish()


@fault
async def close_in_headers(exchange: Exchange, _: Fault) -> None:
    """FIN within the headers."""
    await exchange.wire.send(b"HTTP/1.1 200 OK\r\nContent-Ty")
    exchange.wire.finish()


@fault
async def close_after_headers(exchange: Exchange, _: Fault) -> None:
    """FIN between headers and body: 200, and nothing."""
    await exchange.open_answer()
    exchange.wire.finish()


@fault
async def close_on_reuse(exchange: Exchange, _: Fault) -> None:
    """Answer, and reset the kept-alive connection when the next request has begun to arrive on it."""
    await exchange.answer()
    exchange.wire.log.busy = False
    await exchange.wire.reader.read(1)
    exchange.wire.reset()


@fault
async def close_idle(exchange: Exchange, how: Fault) -> None:
    """`close_idle:SECONDS` (0): answer without `Connection: close`, and close all the same after that time."""
    await exchange.answer()
    exchange.wire.log.busy = False
    await exchange.wire.pause(how.number(0))
    exchange.wire.finish()


# Cut


@fault
async def truncated(exchange: Exchange, _: Fault) -> None:
    """Half of the body, then FIN, although Content-Length promised the whole."""
    await exchange.open_answer()
    await exchange.wire.send(exchange.half)
    exchange.wire.finish()


@fault
async def truncated_reset(exchange: Exchange, _: Fault) -> None:
    """Half of the body, then RST."""
    await exchange.open_answer()
    await exchange.wire.send(exchange.half)
    await exchange.wire.pause(0.02)
    exchange.wire.reset()


@fault
async def cut_close_delimited(exchange: Exchange, _: Fault) -> None:
    """Half of a body whose end is the end of the connection: no framing tells that it was cut."""
    await exchange.head(200, {"Content-Type": exchange.kind, "Connection": "close"})
    await exchange.wire.send(exchange.half)
    exchange.wire.finish()


# Uploads


@before_body
async def early_answer(exchange: Exchange, how: Fault) -> None:
    """`early_answer:N` (413): that status as soon as the headers are in; the body is not read for a while."""
    exchange.wire.transport.pause_reading()
    refusal = json.dumps(exchange.voice.error(how.count(413), "too large")).encode()
    await exchange.reply(how.count(413), refusal, headers={"Connection": "close"})
    await _stay_deaf(exchange.wire)


@before_body
async def stop_reading(exchange: Exchange, _: Fault) -> None:
    """Read the headers, then neither read nor answer: the client's writes stop when the buffers are full."""
    exchange.wire.transport.pause_reading()
    await _stay_deaf(exchange.wire)


# Helpers

DEAF_FOR = 1.2
"""Seconds without reading. A socket that nobody reads does not see its peer leave, so it cannot be for ever."""


async def _stay_deaf(wire: Wire) -> None:
    if not await wire.gone_within(DEAF_FOR):
        wire.transport.resume_reading()
        while await wire.reader.read(65536):
            pass
    raise Left


async def _leave_hanging(wire: Wire) -> None:
    await wire.gone_within(None)
    raise Left
