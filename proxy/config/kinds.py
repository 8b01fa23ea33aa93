"""The kinds of scalar that a key can take, by the name that the JSON Schemas use for them under `$defs`.

A kind takes a scalar and returns it as the snapshot holds it. It raises ValueError like the readers in `units`: the
end of a sentence, without the value.
"""

import math
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from proxy.config import units
from proxy.config.secrets import Secret
from proxy.config.snapshot import Quantile

_HEADER = re.compile(r"([\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?)?", re.ASCII)
_VISIBLE = re.compile(r"[\x21-\x7e]*", re.ASCII)


def boolean(value: object) -> bool:
    """`true` or `false`; `yes` and `no` are text in YAML 1.2."""
    if not isinstance(value, bool):
        raise ValueError("is not true or false")  # noqa: TRY004  every kind raises ValueError
    return value


def integer(value: object) -> int:
    """A whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("is not a whole number")  # noqa: TRY004
    return value


def number(value: object) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("is not a number")
    return float(value)


def text(value: object) -> str:
    """A string; what YAML would read as something else needs quotes."""
    if not isinstance(value, str):
        raise ValueError("is not text; put it in quotes")  # noqa: TRY004
    return value


def secret(value: object) -> Secret | None:
    """A key or token, fit for a header; an empty one is none at all."""
    if not isinstance(value, str):
        raise ValueError("is not text; put it in quotes")  # noqa: TRY004
    if not _VISIBLE.fullmatch(value):
        raise ValueError("holds a space, a line break or another character that cannot stand in a key")
    return Secret(value) if value else None


def header(value: object) -> str:
    """A header's fixed value: visible ASCII and inner spaces (RFC 9110 section 5.5, without obs-text)."""
    if not isinstance(value, str):
        raise ValueError("is not text; put it in quotes")  # noqa: TRY004
    if not _HEADER.fullmatch(value):
        raise ValueError("cannot stand in a header: visible ASCII characters, with single lines and no outer spaces")
    return value


def delay(value: object) -> float | Quantile:
    """A duration, or a quantile of a provider's own times: `p50`, `p95` or `p99`."""
    if isinstance(value, str) and value in set(Quantile):
        return Quantile(value)
    try:
        return units.duration(value)
    except ValueError:
        raise ValueError("is neither a duration nor p50, p95 or p99: write 2s or p95") from None


def url(value: object) -> str:
    """An absolute http or https URL without credentials, query or fragment (RFC 3986)."""
    if not isinstance(value, str) or not value or not _VISIBLE.fullmatch(value):
        raise ValueError("is not a URL: write https://host/path")
    try:
        parts = urlsplit(value)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("is not a URL: its host or port cannot be read") from None
    if parts.scheme not in {"http", "https"} or not host or port == 0:
        raise ValueError("is not an http or https URL: write https://host/path")
    if "@" in parts.netloc:
        raise ValueError("holds credentials; a key belongs under `api_key`")
    if "?" in value or "#" in value:
        raise ValueError("holds a query or fragment, which would be lost")
    return value


def endpoint(value: object) -> str:
    """A URL, or nothing at all."""
    return "" if value == "" else url(value)


KINDS: Mapping[str, Callable[[object], Any]] = MappingProxyType(
    {
        "boolean": boolean,
        "integer": integer,
        "number": number,
        "text": text,
        "secret": secret,
        "header": header,
        "url": url,
        "endpoint": endpoint,
        "duration": units.duration,
        "delay": delay,
        "size": units.size,
        "rate": units.rate,
        "ratio": units.ratio,
        "address": units.address,
    }
)
"""Name under `$defs` -> reader."""

PLAIN = frozenset({"boolean", "integer", "number"})
"""Kinds that YAML itself would have read: a value from the environment is read once more for them."""

HIDDEN = frozenset({"secret", "header", "url", "endpoint"})
"""Kinds whose value is not shown even when it stands in the file: keys, and what may carry one."""


def show_limit(kind: str, limit: float) -> str:
    """Write a bound the way the file would."""
    if kind == "ratio":
        return f"{limit * 100:g}%"
    suffix = {"duration": "s", "delay": "s", "size": "B"}.get(kind, "")
    return f"{limit:.12g}{suffix}"
