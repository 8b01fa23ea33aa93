"""JSON as it comes over the wire: read without surprises, looked into without exceptions, written compactly."""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

NOTHING: Mapping[str, Any] = MappingProxyType({})

_ENVELOPE = frozenset({"type", "id", "index", "format", "status", "role", "object"})
_DEPTH = 6


def read_json(data: bytes) -> object:
    """Parse. ValueError for anything that is not JSON; nested too deep is that too (the stdlib has RecursionError)."""
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def write_json(document: Mapping[str, Any]) -> bytes:
    """Serialise compactly, keeping characters as they are; half an emoji (a lone surrogate) stays escaped."""
    try:
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(document, separators=(",", ":")).encode()


def mapping(value: object) -> Mapping[str, Any]:
    """Return it if it is an object, else an empty one."""
    return value if isinstance(value, Mapping) else NOTHING


def mappings(value: object) -> list[Mapping[str, Any]]:
    """Return the objects in it if it is an array, else none."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def text(value: object) -> str:
    """Return it if it is a string, else an empty one."""
    return value if isinstance(value, str) else ""


def count(value: object) -> int | None:
    """Return it if it is a number of things, else None."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def solid(value: object, depth: int = _DEPTH) -> bool:
    """Whether anything was said in it: a string that is not empty, however nested, the envelope's own words aside."""
    if isinstance(value, str):
        return bool(value)
    if depth == 0:
        return bool(value)
    if isinstance(value, list):
        return any(solid(item, depth - 1) for item in value)
    if isinstance(value, Mapping):
        return any(solid(item, depth - 1) for name, item in value.items() if name not in _ENVELOPE)
    return False
