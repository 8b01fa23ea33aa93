"""Change a few top-level values of a JSON object without writing the whole of it anew.

A request may carry twenty megabytes of pictures. To serialise them for the sake of a model's name would cost memory and
stop everybody else for a tenth of a second; the client's own bytes are kept instead wherever that is certain.
"""

import re
from collections.abc import Mapping
from typing import Any

from proxy.dialects.documents import write_ascii, write_json

MOST = 8
"""Keys of one name that are looked at; a text with more of them is written anew."""
_COLON = re.compile(rb"\s*:\s*")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
_NULL_USAGE = re.compile(rb',\s*"usage"\s*:\s*null(?=\s*[,}])|(?<=\{)\s*"usage"\s*:\s*null\s*,\s*')


def changed(body: bytes, document: Mapping[str, Any], changes: Mapping[str, Any]) -> bytes:
    """Return `body` (whose JSON is `document`) with these top-level values set.

    A value is replaced in place when its key stands only once in the whole text, so that it can be no other object's,
    and both values are strings; a key that is new goes to the front. Otherwise the document is written anew.
    """
    spliced = body
    for name, value in changes.items():
        found = _place(spliced, name) if name in document else _front(spliced, name)
        if found is None or (name in document and not isinstance(document[name], str)):
            return write_json({**document, **changes})
        start, end, before, after = found
        spliced = b"".join((spliced[:start], before, write_ascii(value), after, spliced[end:]))
    return spliced


def without_null_usage(body: bytes) -> bytes | None:
    """Return `body`, a JSON object whose `usage` is null, without that; None when it is not certain where it stands.

    A quote behind a brace or a comma begins a name: one that ended a string would have a comma, a colon or the end of
    something behind it, not a letter. So the only `usage` that is null and has a neighbour is no other object's.
    """
    kept, found = _NULL_USAGE.subn(b"", body)
    return kept if found == 1 else None


def _place(body: bytes, name: str) -> tuple[int, int, bytes, bytes] | None:
    """Where the string behind this key begins and ends; None when the key is not the only one of its name.

    Inside a JSON string a quote is always escaped, so `"name"` is a token of its own: a key when a colon follows.
    """
    token = write_ascii(name)
    ends: list[int] = []
    at = body.find(token)
    while at >= 0 and len(ends) < MOST:
        colon = _COLON.match(body, at + len(token))
        if colon is not None:
            ends.append(colon.end())
        at = body.find(token, at + len(token))
    if len(ends) != 1 or at >= 0:
        return None
    value = _STRING.match(body, ends[0])
    return None if value is None else (value.start(), value.end(), b"", b"")


def _front(body: bytes, name: str) -> tuple[int, int, bytes, bytes] | None:
    """Where a new member goes: behind the opening brace, which stands first; None in an empty object."""
    start = body.find(b"{") + 1
    if not start or body[start : start + 1000].lstrip()[:1] == b"}":
        return None
    return start, start, write_ascii(name) + b":", b","
