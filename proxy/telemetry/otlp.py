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

_root = Struct("<HQBQBQ").pack
_child = Struct("<HQHQBQBQ").pack
_moment = Struct("<BQ").pack
_flags = Struct("<HI").pack
_double = Struct("<d").pack


@lru_cache(maxsize=4096)
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
    written = []
    for name, value in told.items():
        if isinstance(value, str) and len(value) <= WORD:
            written.append(_word(number, name, value))
        elif value is not None:
            written.append(attribute(name, value, number, limit))
    return b"".join(written)


def attribute(name: str, value: Value, number: int = ATTRIBUTES, limit: int | None = MAX_TEXT) -> bytes:
    """Write one attribute, or nothing when no wire can hold it; a text that never comes again is not remembered."""
    if isinstance(value, str):
        written = value[:limit].encode("utf-8", "replace")
        return _head_of_text(number, name, len(written)) + written
    if isinstance(value, float):
        return _head_of_float(number, name) + _double(value) if math.isfinite(value) else b""
    if isinstance(value, bool):
        return _attribute(number, name, bytes((0x10, value)))
    if isinstance(value, int):
        return _int(number, name, value) if LOWEST <= value <= HIGHEST else b""
    return _texts(number, name, tuple([item[:limit] for item in value]))


def trace(trace_id: str, state: str) -> bytes:
    """Write what all spans of a trace begin with: its id (hexadecimal) and the callers' `tracestate`."""
    written = b"\x0a\x10" + bytes.fromhex(trace_id)
    return written + text(3, state) if state else written


def label(name: str, kind: int, flags: int = LOCAL_PARENT) -> bytes:
    """Write a span's name, kind and flags."""
    return text(5, name) + varint(6 << 3) + varint(kind) + _flags(0x0185, flags)


def root(span_id: int, started: float, ended: float) -> bytes:
    """Write the id of a span without a parent, and its times in seconds since the epoch.

    All ids are given with their bytes in protobuf's order, the lowest first, so that they need no writing of their own.
    """
    return _root(0x0812, span_id, 0x39, int(started * 1e9), 0x41, int(ended * 1e9))


def child(span_id: int, parent_id: int, started: float, ended: float) -> bytes:
    """Write the ids of a span and its parent, and its times."""
    return _child(0x0812, span_id, 0x0822, parent_id, 0x39, int(started * 1e9), 0x41, int(ended * 1e9))


def swapped(span_id: int) -> int:
    """Turn an id that others know too, whose bytes are in the network's order, into protobuf's."""
    return int.from_bytes(span_id.to_bytes(8), "little")


def span(*parts: bytes) -> bytes:
    """Put a span together, as a field of `ScopeSpans`."""
    content = b"".join(parts)
    return _head(SPANS, len(content)) + content


def event(name: str, at: float, told: Mapping[str, Value | None]) -> bytes:
    """Write one event of a span; `at` in seconds since the epoch."""
    return field(11, _moment(0x09, int(at * 1e9)) + text(2, name) + attributes(told, EVENT_ATTRIBUTES))


def error(description: str | None) -> bytes:
    """Write the status of a span that failed."""
    return field(15, text(2, description) + ERROR if description else ERROR)


def _attribute(number: int, name: str, value: bytes) -> bytes:
    return field(number, text(1, name) + field(2, value))


@lru_cache(maxsize=2048)
def _head_of_text(number: int, name: str, length: int) -> bytes:
    return _head_of(number, name, field(1, bytes(length)), length)


@lru_cache(maxsize=2048)
def _int(number: int, name: str, value: int) -> bytes:
    return _attribute(number, name, b"\x18" + varint(value % (1 << 64)))


@lru_cache(maxsize=256)
def _texts(number: int, name: str, value: tuple[str, ...]) -> bytes:
    return _attribute(number, name, field(5, b"".join([field(1, text(1, item)) for item in value])))


@lru_cache(maxsize=1024)
def _word(number: int, name: str, value: str) -> bytes:
    return _attribute(number, name, text(1, value))


@lru_cache(maxsize=128)
def _head_of_float(number: int, name: str) -> bytes:
    return _head_of(number, name, b"\x21" + bytes(8), 8)


def _head_of(number: int, name: str, value: bytes, length: int) -> bytes:
    """Write all of an attribute but the last bytes, that many, of its value."""
    written = _attribute(number, name, value)
    return written[: len(written) - length]
