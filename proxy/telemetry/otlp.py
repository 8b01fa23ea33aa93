"""Spans in OTLP's own bytes: protobuf messages written field by field, without building the objects they describe.

The SDK builds three objects for each attribute of a span before one byte is written, which costs ten times as much as
the bytes. Field numbers are those of opentelemetry-proto's `trace.proto` and `common.proto`. What repeats from one
trace to the next (names, and short texts) is remembered; how much of it is bounded.
"""

import math
from collections.abc import Mapping
from functools import lru_cache
from struct import Struct

Value = str | int | float | bool | tuple[str, ...]

MAX_TEXT = 1024
"""Characters of one attribute, unless its maker bounded it already."""
WORD = 100
"""Characters up to which a text may be a word that comes again, and is remembered."""
LOWEST, HIGHEST = -(1 << 63), (1 << 63) - 1
"""What 64 bits hold."""

INTERNAL, SERVER, CLIENT = 1, 2, 3
"""`Span.SpanKind`."""
LOCAL_PARENT, REMOTE_PARENT = 0x100, 0x300
"""`SpanFlags`: that it is known where the parent is, and that it is in another process."""
ATTRIBUTES, EVENT_ATTRIBUTES = 9, 3
"""Where `Span` and `Span.Event` keep their attributes."""
SPANS = 2
"""Where `ScopeSpans` keeps its spans."""
UNSET = b"\x7a\x00"
"""`Span.status` without a word."""
ERROR = b"\x18\x02"
"""`Status.code` 2."""

_root = Struct(">HQ").pack
_child = Struct(">HQHQ").pack
_times = Struct("<BQBQ").pack
_moment = Struct("<BQ").pack
_flags = Struct("<HI").pack
_double = Struct("<d").pack


def varint(number: int) -> bytes:
    """Write an integer of at least 0: seven bits a byte, the lowest first."""
    written = bytearray()
    while number >= 0x80:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)


@lru_cache(maxsize=4096)
def _head(number: int, length: int) -> bytes:
    return varint(number << 3 | 2) + varint(length)


def field(number: int, content: bytes) -> bytes:
    """Write a field that tells its length: a text, bytes, or a message."""
    return _head(number, len(content)) + content


def text(number: int, words: str) -> bytes:
    """Write a text; lone surrogates, which JSON may hold and protobuf may not, become question marks."""
    return field(number, words.encode("utf-8", "replace"))


def attributes(told: Mapping[str, Value | None], number: int = ATTRIBUTES, *, limit: int | None = MAX_TEXT) -> bytes:
    """Write attributes; left out is what is unknown (None), and what no wire can hold: integers over 64 bits, NaN."""
    if not told:
        return b""
    written = []
    for name, value in told.items():
        if type(value) is str and len(value) <= WORD:
            written.append(_word(number, name, value))
        elif value is not None:
            written.append(_any(number, name, value, limit))
    return b"".join(written)


def _any(number: int, name: str, value: Value, limit: int | None) -> bytes:
    if isinstance(value, bool):
        return _bool(number, name, value)
    if isinstance(value, int):
        return _int(number, name, value) if LOWEST <= value <= HIGHEST else b""
    if isinstance(value, float):
        return _float_head(number, name) + _double(value) if math.isfinite(value) else b""
    if isinstance(value, str):
        return _text(number, name, value[:limit])
    return _texts(number, name, tuple([item[:limit] for item in value]))


def trace(trace_id: int, state: str) -> bytes:
    """Write what all spans of a trace begin with: its id and the callers' `tracestate`."""
    return field(1, trace_id.to_bytes(16)) + (text(3, state) if state else b"")


@lru_cache(maxsize=512)
def label(name: str, kind: int, flags: int = LOCAL_PARENT) -> bytes:
    """Write a span's name, kind and flags."""
    return text(5, name) + varint(6 << 3) + varint(kind) + _flags(0x0185, flags)


def root(span_id: int) -> bytes:
    """Write the id of a span without a parent."""
    return _root(0x1208, span_id)


def child(span_id: int, parent_id: int) -> bytes:
    """Write the ids of a span and its parent."""
    return _child(0x1208, span_id, 0x2208, parent_id)


def times(started: int, ended: int) -> bytes:
    """Write when a span began and ended, in nanoseconds since the epoch."""
    return _times(0x39, started, 0x41, ended)


def span(*parts: bytes) -> bytes:
    """Put a span together, as a field of `ScopeSpans`."""
    content = b"".join(parts)
    return _head(SPANS, len(content)) + content


def event(name: str, at: int, told: Mapping[str, Value | None]) -> bytes:
    """Write one event of a span; `at` in nanoseconds."""
    return field(11, _moment(0x09, at) + text(2, name) + attributes(told, EVENT_ATTRIBUTES))


def error(description: str | None) -> bytes:
    """Write the status of a span that failed."""
    return field(15, text(2, description) + ERROR if description else ERROR)


def _attribute(number: int, name: str, value: bytes) -> bytes:
    return field(number, text(1, name) + field(2, value))


def _text(number: int, name: str, value: str) -> bytes:
    return _attribute(number, name, text(1, value))


@lru_cache(maxsize=256)
def _texts(number: int, name: str, value: tuple[str, ...]) -> bytes:
    return _attribute(number, name, field(5, b"".join(field(1, text(1, item)) for item in value)))


_word = lru_cache(maxsize=1024)(_text)


@lru_cache(maxsize=256)
def _bool(number: int, name: str, value: bool) -> bytes:  # noqa: FBT001  it is the thing to be written
    return _attribute(number, name, bytes((0x10, value)))


@lru_cache(maxsize=2048)
def _int(number: int, name: str, value: int) -> bytes:
    return _attribute(number, name, b"\x18" + varint(value % (1 << 64)))


@lru_cache(maxsize=256)
def _float_head(number: int, name: str) -> bytes:
    """Write all of a float's attribute but its eight bytes."""
    return _attribute(number, name, b"\x21" + bytes(8))[:-8]
