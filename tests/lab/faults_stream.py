"""Faults of streams: cut, stalled, silent, failing half-way, or written in the odd ways that the standard allows.

Each names the fault that a plain request meets instead.
"""

import json

from lab.exchange import EVENT_STREAM, Exchange, frame
from lab.fault import Fault, fault_of_stream
from lab.wire import Left

# Before the first output


@fault_of_stream(otherwise="empty_body")
async def empty_stream(exchange: Exchange, _: Fault) -> None:
    """A stream that ends properly before its first event."""
    await exchange.begin()
    await exchange.end()


@fault_of_stream(otherwise="close_after_headers")
async def role_then_close(exchange: Exchange, _: Fault) -> None:
    """The role chunk, then FIN."""
    await exchange.tell(0)
    exchange.wire.finish()


@fault_of_stream(otherwise="error_body")
async def role_then_error(exchange: Exchange, _: Fault) -> None:
    """The role chunk, then an error event and the end."""
    await exchange.tell(0)
    await exchange.event(exchange.voice.error(500, "simulated"))
    await exchange.end()


@fault_of_stream(otherwise="hang_after_headers")
async def role_then_stall(exchange: Exchange, _: Fault) -> None:
    """The role chunk, then nothing."""
    await exchange.tell(0)
    await _stall(exchange)


@fault_of_stream(otherwise="error_body")
async def error_event_first(exchange: Exchange, _: Fault) -> None:
    """`event: error` as the first event."""
    await exchange.begin()
    await exchange.chunk(b"event: error\n" + frame(exchange.voice.error(500, "simulated")))
    await exchange.end()


@fault_of_stream(otherwise="hang")
async def comments(exchange: Exchange, how: Fault) -> None:
    """`comments:SECONDS` (0.05): comments for ever, that far apart."""
    await exchange.begin()
    while True:
        await exchange.chunk(b": still thinking\n\n")
        await exchange.wire.pause(how.number(0.05))


@fault_of_stream(otherwise="ok")
async def comments_first(exchange: Exchange, how: Fault) -> None:
    """`comments_first:N` (20): that many comments, then an honest stream."""
    await exchange.begin()
    for _ in range(how.count(20)):
        await exchange.chunk(b": still thinking\n\n")
        await exchange.wire.pause(0)
    await exchange.chunk(exchange.body)
    await exchange.end()


# After it


@fault_of_stream(otherwise="truncated")
async def cut(exchange: Exchange, how: Fault) -> None:
    """`cut:N` (2): N tokens, then FIN without the last chunk."""
    await exchange.tell(how.count(2))
    exchange.wire.finish()


@fault_of_stream(otherwise="truncated_reset")
async def cut_reset(exchange: Exchange, how: Fault) -> None:
    """`cut_reset:N` (2): N tokens, then RST."""
    await exchange.tell(how.count(2))
    await exchange.wire.pause(0.05)  # an RST may overtake what is not read yet
    exchange.wire.reset()


@fault_of_stream(otherwise="truncated")
async def cut_in_event(exchange: Exchange, how: Fault) -> None:
    """`cut_in_event:N` (2): N tokens and half of the next event, then FIN."""
    await exchange.tell(how.count(2))
    await exchange.chunk(frame(exchange.events.finish)[:30])
    exchange.wire.finish()


@fault_of_stream(otherwise="not_json")
async def cut_clean(exchange: Exchange, how: Fault) -> None:
    """`cut_clean:N` (2): N tokens, then a proper end of the body: no finish reason, no [DONE]."""
    await exchange.tell(how.count(2))
    await exchange.end()


@fault_of_stream(otherwise="cut_close_delimited")
async def cut_stream_close_delimited(exchange: Exchange, how: Fault) -> None:
    """`cut_stream_close_delimited:N` (2): N tokens in a body that ends with the connection, then FIN."""
    await exchange.head(200, {"Content-Type": EVENT_STREAM, "Connection": "close"})
    events = exchange.events
    await exchange.wire.send(b"".join(map(frame, [events.role, *events.output[: how.count(2)]])))
    exchange.wire.finish()


@fault_of_stream(otherwise="hang_after_headers")
async def stall(exchange: Exchange, how: Fault) -> None:
    """`stall:N` (2): N tokens, then nothing, the connection staying open."""
    await exchange.tell(how.count(2))
    await _stall(exchange)


@fault_of_stream(otherwise="hang_after_headers")
async def stall_with_comments(exchange: Exchange, how: Fault) -> None:
    """`stall_with_comments:N` (2): N tokens, then only comments."""
    await exchange.tell(how.count(2))
    while True:
        await exchange.chunk(b": still here\n\n")
        await exchange.wire.pause(0.02)


@fault_of_stream(otherwise="choice_error")
async def error_mid(exchange: Exchange, how: Fault) -> None:
    """`error_mid:N` (2): N tokens, an error chunk with a numeric code, the end."""
    await _error_chunk(exchange, how, 502, done=False)


@fault_of_stream(otherwise="choice_error")
async def error_mid_done(exchange: Exchange, how: Fault) -> None:
    """`error_mid_done:N` (2): the same, and a [DONE] all the same."""
    await _error_chunk(exchange, how, 502, done=True)


@fault_of_stream(otherwise="choice_error")
async def error_mid_string(exchange: Exchange, how: Fault) -> None:
    """`error_mid_string:N` (2): N tokens, an error chunk with a string code, the end."""
    await _error_chunk(exchange, how, "server_error", done=False)


@fault_of_stream(otherwise="empty_content")
async def done_without_finish(exchange: Exchange, how: Fault) -> None:
    """`done_without_finish:N` (2): N tokens and a [DONE], but no finish reason: a gateway hid a cut."""
    await exchange.tell(how.count(2))
    await exchange.event("[DONE]")
    await exchange.end()


@fault_of_stream(otherwise="ok")
async def no_done(exchange: Exchange, _: Fault) -> None:
    """Everything but the [DONE]."""
    await exchange.tell()
    await exchange.event(exchange.events.finish)
    await exchange.end()


@fault_of_stream(otherwise="not_json")
async def bad_event(exchange: Exchange, how: Fault) -> None:
    """`bad_event:N` (2): N tokens, then an event that is not JSON, then the end."""
    await exchange.tell(how.count(2))
    await exchange.event('{"choices": [{"delta"')
    await exchange.conclude()
    await exchange.end()


@fault_of_stream(otherwise="ok")
async def endless_stream(exchange: Exchange, _: Fault) -> None:
    """Tokens for as long as somebody takes them."""
    await exchange.tell()
    events = b"".join(map(frame, exchange.events.output)) * 10
    while True:
        await exchange.chunk(events)


@fault_of_stream(otherwise="huge_body")
async def huge_event(exchange: Exchange, how: Fault) -> None:
    """`huge_event:MIB` (100): one event of that size."""
    await exchange.tell(1)
    await exchange.chunk(b'data: {"filler": "')
    for _ in range(how.count(100) * 16):
        await exchange.chunk(b"x" * 65536)
    await exchange.chunk(b'"}\n\n')
    await exchange.conclude()
    await exchange.end()


# Odd, and legal by WHATWG's "Server-sent events"


@fault_of_stream(otherwise="ok")
async def sse_cr(exchange: Exchange, _: Fault) -> None:
    """Lines end in CR."""
    await _write(exchange, exchange.body.replace(b"\n", b"\r"))


@fault_of_stream(otherwise="ok")
async def sse_crlf(exchange: Exchange, _: Fault) -> None:
    """Lines end in CRLF."""
    await _write(exchange, exchange.body.replace(b"\n", b"\r\n"))


@fault_of_stream(otherwise="ok")
async def sse_crlf_split(exchange: Exchange, _: Fault) -> None:
    """Lines end in CRLF, and every CR stands in another chunk than its LF."""
    parts = exchange.body.replace(b"\n", b"\r\n").split(b"\r")
    await _write(exchange, *[part + b"\r" for part in parts[:-1]], parts[-1])


@fault_of_stream(otherwise="ok")
async def sse_bom(exchange: Exchange, _: Fault) -> None:
    """A byte order mark comes first."""
    await _write(exchange, b"\xef\xbb\xbf" + exchange.body)


@fault_of_stream(otherwise="ok")
async def sse_no_space(exchange: Exchange, _: Fault) -> None:
    """No space after `data:`."""
    await _write(exchange, exchange.body.replace(b"data: ", b"data:"))


@fault_of_stream(otherwise="ok")
async def sse_multiline(exchange: Exchange, _: Fault) -> None:
    """Each event's JSON stands on several data lines."""
    await _write(exchange, exchange.body.replace(b', "choices"', b',\ndata: "choices"'))


@fault_of_stream(otherwise="ok")
async def sse_bytes(exchange: Exchange, _: Fault) -> None:
    """Every byte is a chunk of its own, so that characters and line ends are split."""
    text = exchange.body
    await _write(exchange, *[text[position : position + 1] for position in range(len(text))])


@fault_of_stream(otherwise="ok")
async def sse_one_piece(exchange: Exchange, _: Fault) -> None:
    """All events in one chunk."""
    await _write(exchange, exchange.body)


@fault_of_stream(otherwise="ok")
async def sse_no_last_blank(exchange: Exchange, _: Fault) -> None:
    """The blank line after [DONE] is missing."""
    await _write(exchange, exchange.body.rstrip(b"\n") + b"\n")


@fault_of_stream(otherwise="ok")
async def sse_fields(exchange: Exchange, _: Fault) -> None:
    """Events carry `id:`, `retry:`, `event: message` and unknown fields, with comments and blank lines between."""
    extra = b"id: 7\nretry: 10\nevent: message\nunknown\ndata: "
    await _write(exchange, exchange.body.replace(b"data: ", b": ping\n\n\n" + extra))


@fault_of_stream(otherwise="ok")
async def sse_halves(exchange: Exchange, how: Fault) -> None:
    """`sse_halves:SECONDS` (0.02): every event in two pieces, with that pause after each of them."""
    await exchange.begin()
    for event in exchange.events.whole:
        written = frame(event)
        for half in (written[: len(written) // 2], written[len(written) // 2 :]):
            await exchange.chunk(half)
            await exchange.wire.pause(how.number(0.02))
    await exchange.end()


async def _write(exchange: Exchange, *parts: bytes) -> None:
    """Write an event stream in exactly these pieces."""
    await exchange.begin()
    for part in parts:
        await exchange.chunk(part)
        await exchange.wire.pause(0)
    await exchange.end()


async def _stall(exchange: Exchange) -> None:
    await exchange.wire.gone_within(None)
    raise Left


async def _error_chunk(exchange: Exchange, how: Fault, code: int | str, *, done: bool) -> None:
    """OpenRouter's: an error beside the choices, whose finish reason is `error`."""
    await exchange.tell(how.count(2))
    chunk = json.loads(json.dumps(exchange.events.finish))
    chunk["choices"][0]["finish_reason"] = "error"
    metadata = {"error_type": "provider_unavailable"}
    await exchange.event(chunk | {"error": {"code": code, "message": "Provider disconnected", "metadata": metadata}})
    if done:
        await exchange.event("[DONE]")
    await exchange.end()
