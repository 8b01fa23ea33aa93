"""W3C Trace Context as it comes in (https://www.w3.org/TR/trace-context/), and the identifiers of a new request.

What goes out is `Record.traceparent`.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Bits = Callable[[int], int]
"""Gives that many random bits as an integer: a `Clock.bits`, or a test's own."""

TRACE_BITS = 128
SPAN_BITS = 64
SAMPLED = 0x01

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_KEY = r"(?:[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13}|[a-z][a-z0-9_\-*/]{0,255})"
_VALUE = r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
_MEMBER = re.compile(f"({_KEY})=({_VALUE})", re.ASCII)
MAX_TRACEPARENT = 512
"""Longer headers are not looked at: version 00 has 55 characters, a future one should not have many more."""
MAX_MEMBERS = 32
MAX_TRACESTATE = 512
"""Characters of `tracestate` that are passed on; the least that the specification asks of everyone."""


@dataclass(frozen=True, slots=True)
class Parent:
    """The caller's span, from its `traceparent`."""

    trace_id: int
    span_id: int
    sampled: bool


def parse_traceparent(value: str) -> Parent | None:
    """Read the header; None when it breaks a rule, which means that a new trace begins, as it does without one.

    Refused: version `ff`, upper case, ids of zeros only, a version 00 of another length. A higher version is read
    by its first 55 characters (section 4.3 of the specification).
    """
    if len(value) > MAX_TRACEPARENT:
        return None
    found = _TRACEPARENT.fullmatch(value.strip(" \t"))
    if found is None:
        return None
    version, trace, span, flags, more = found.groups()
    trace_id, span_id = int(trace, 16), int(span, 16)
    if version == "ff" or (version == "00" and more) or not trace_id or not span_id:
        return None
    return Parent(trace_id, span_id, bool(int(flags, 16) & SAMPLED))


def parse_tracestate(value: str | None) -> str:
    """Return the list as it may be passed on, or nothing at all when it is malformed: a part of it would be a lie.

    Too long a list loses members over 128 characters first, then members from the right (section 3.3.1.5).
    """
    members = [member.strip(" \t") for member in (value or "").split(",")]
    members = [member for member in members if member]
    found = [_MEMBER.fullmatch(member) for member in members]
    keys = {match.group(1) for match in found if match}
    if len(members) > MAX_MEMBERS or len(keys) != len(members):
        return ""
    return _shortened(members)


def _shortened(members: Sequence[str]) -> str:
    """Drop members until the list fits into `MAX_TRACESTATE`."""
    if len(",".join(members)) > MAX_TRACESTATE:
        members = [member for member in members if len(member) <= 128]
    while len(",".join(members)) > MAX_TRACESTATE:
        members = members[:-1]
    return ",".join(members)


def new_span_id(bits: Bits) -> int:
    """64 random bits, never all zero."""
    return bits(SPAN_BITS) or 1
