"""The log line of one finished request: its summary as JSON.

Requests are most of what is logged, so it is written in C, and not by way of the dictionary that other lines are.
"""

import json
from typing import Any

from msgspec import to_builtins
from msgspec.json import Encoder

from proxy.telemetry.summary import Summary

DELETE = 0x7F
"""The one control character that JSON does not escape."""

_encode = Encoder().encode
_escaped = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def request_line(summary: Summary) -> str:
    """One JSON object in plain ASCII, every control character escaped."""
    try:
        written = _encode(summary)
    except UnicodeEncodeError:  # half an emoji
        written = b""
    if written and written.isascii() and DELETE not in written:
        return written.decode()
    return _escaped(to_builtins(summary)).replace("\x7f", "\\u007f")


def request_log(summary: Summary) -> dict[str, Any]:
    """What the line tells beside logger and message, for whoever does not write JSON."""
    fields: dict[str, Any] = json.loads(request_line(summary))
    del fields["logger"], fields["message"]
    return fields
