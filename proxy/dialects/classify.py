"""From an error body of any shape to one class of the taxonomy, by tables that each dialect brings along.

Shapes met in the wild: `{"error": {...}}`, `{"error": "text"}`, flat `{"message"}`, `{"detail"}`, `{"fault"}`,
`{"object": "error"}`, `{"code", "error"}`, any of them in an array; HTML; nothing. Codes are names, integers or numeric
strings. Order of belief: the few phrases that overrule, what only this dialect knows, the provider's own code, its
type, a phrase, the status.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from proxy.dialects.documents import NOTHING, mapping, mappings, read_json, text
from proxy.errors import ErrorClass, Failure

VERDICTS = frozenset({ErrorClass.INVALID_REQUEST, ErrorClass.CONTEXT_LENGTH, ErrorClass.CONTENT_POLICY})
"""Judgements on the request itself: the provider's body is passed on to the client."""

_BODY_LIMIT = 64 * 1024
_MESSAGE_LIMIT = 500
_CODE_LIMIT = 100
_NESTING = 4
_STATUS_KEYS = ("code", "status", "http_status", "status_code", "raw_status_code", "statusCode")
_WORD_KEYS = ("message", "msg", "detail", "faultstring", "error")

_BY_STATUS: Mapping[int, ErrorClass] = MappingProxyType(
    {
        401: ErrorClass.AUTH,
        402: ErrorClass.QUOTA,
        403: ErrorClass.AUTH,
        404: ErrorClass.UNSUPPORTED,  # we wrote the path: the model, or the whole endpoint, is not there
        405: ErrorClass.UNSUPPORTED,
        408: ErrorClass.SERVER_ERROR,
        409: ErrorClass.SERVER_ERROR,
        424: ErrorClass.SERVER_ERROR,
        425: ErrorClass.SERVER_ERROR,
        429: ErrorClass.RATE_LIMITED,
        498: ErrorClass.OVERLOADED,  # Groq: capacity_exceeded
        499: ErrorClass.SERVER_ERROR,
        502: ErrorClass.OVERLOADED,
        503: ErrorClass.OVERLOADED,
        504: ErrorClass.OVERLOADED,
    }
)

_STATUS_OF_NAME: Mapping[str, int] = MappingProxyType(
    {
        "api_error": 500,
        "authentication_error": 401,
        "bad_gateway": 502,
        "bad_request": 400,
        "badrequesterror": 400,
        "forbidden": 403,
        "internal_error": 500,
        "internal_server_error": 500,
        "invalid_prompt": 400,
        "invalid_request_error": 400,
        "not_found": 404,
        "not_found_error": 404,
        "notfounderror": 404,
        "payment_required": 402,
        "permission_error": 403,
        "rate_limit_error": 429,
        "server_error": 500,
        "service_unavailable": 503,
        "service_unavailable_error": 503,
        "unauthorized": 401,
        "unavailable_error": 503,
    }
)
"""Names too general to outrank a real status; they stand in for it when the error came under a 200."""


@dataclass(frozen=True, slots=True)
class Told:
    """What an error body says, whatever its shape."""

    message: str = ""
    names: tuple[str, ...] = ()
    """Codes and types as the provider spells them, the most specific first."""
    status: int | None = None
    """The status that the body itself claims."""
    error: Mapping[str, Any] = field(default_factory=lambda: NOTHING, repr=False)
    """The error object."""
    structured: bool = False
    """Whether the body was a JSON object at all."""


class Phrase(NamedTuple):
    """Lower-case words of a message that tell the class, under some statuses (none given: under any)."""

    words: str
    error_class: ErrorClass
    statuses: frozenset[int] = frozenset()


def no_quirk(_told: Told, _status: int) -> ErrorClass | None:
    """For dialects whose errors are told by tables alone."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """One dialect's tables."""

    names: Mapping[str, ErrorClass]
    """Lower-case code or type -> class."""
    phrases: tuple[Phrase, ...] = ()
    """Asked when no name is known."""
    overrides: tuple[Phrase, ...] = ()
    """Asked before the names: where a provider's code says less than its message."""
    quirk: Callable[[Told, int], ErrorClass | None] = no_quirk
    """What only this dialect knows; None when it has no opinion."""


def told_by(body: bytes) -> Told:
    """Read an error body; an HTML page says nothing that its status does not."""
    try:
        return read_error(read_json(body))
    except ValueError:
        start = body[:2000].lstrip()
        return Told() if start.startswith(b"<") else Told(message=start.decode("utf-8", "replace"))


def read_error(document: object) -> Told:
    """Read a parsed error of any shape."""
    if isinstance(document, list):
        document = document[0] if document else None
    if isinstance(document, str):
        return Told(message=document)
    outer = mapping(document)
    inner = outer.get("error") or outer.get("fault")
    error = next(iter(mappings(inner)), NOTHING) if isinstance(inner, list) else mapping(inner)
    error = error or outer
    names = _names(error)
    flat = text(outer.get("error"))
    if flat and outer.get("message"):  # {"error": "concurrency_limit_exceeded", "message": "..."}
        names = (*names, flat)
    return Told(
        message=_words(error, _NESTING),
        names=names,
        status=_status(error) or _status(outer),
        error=error,
        structured=bool(outer),
    )


def classify(told: Told, status: int, signals: Signals) -> ErrorClass:
    """Name the class of an error that came with this HTTP status (2xx: an error inside a 200)."""
    if status < 300:
        status = told.status or next(filter(None, (_STATUS_OF_NAME.get(name.lower()) for name in told.names)), 0)
    message = told.message[:2000].lower()
    named = (signals.names.get(name.lower()) for name in told.names)
    return (
        _phrased(signals.overrides, message, status)
        or signals.quirk(told, status)
        or next(filter(None, named), None)
        or _phrased(signals.phrases, message, status)
        or by_status(status)
    )


def by_status(status: int) -> ErrorClass:
    """Name the class that a bare status stands for; 0 is an error without any."""
    if status == 0:
        return ErrorClass.SOFT_FAILURE
    if 520 <= status <= 530:  # Cloudflare's own, and 529
        return ErrorClass.OVERLOADED
    fallback = ErrorClass.INVALID_REQUEST if 400 <= status < 500 else ErrorClass.SERVER_ERROR
    return _BY_STATUS.get(status, fallback)


def failure_of(told: Told, signals: Signals, *, status: int, body: bytes = b"") -> Failure:
    """Make the failure that an error body stands for. `status` is the HTTP one, 2xx included."""
    error_class = classify(told, status, signals)
    verdict = error_class in VERDICTS
    if status < 300:  # a verdict is told to the client under its own status, never under 200
        status = told.status or (0 if verdict else status)
    return Failure(
        error_class=error_class,
        message=sentence(told.message) or f"the provider answered {status or 'with an error'}",
        status=status or None,
        code=sentence(told.names[0])[:_CODE_LIMIT] if told.names else None,
        retry_after=wait_told(told),
        body=body if verdict and told.structured and len(body) <= _BODY_LIMIT else None,
    )


_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_KEY_LIKE = re.compile(r"\b(?:sk|pk|gsk|xai|pplx|csk|fw|Bearer)[-_ ][A-Za-z0-9*_.\-]{6,}")


def sentence(message: str) -> str:
    """Make provider text fit to show: one line, at most 500 characters, nothing that looks like a key."""
    line = _UNPRINTABLE.sub(" ", message[: 4 * _MESSAGE_LIMIT]).strip()
    line = _KEY_LIKE.sub("***", line)
    return line if len(line) <= _MESSAGE_LIMIT else line[: _MESSAGE_LIMIT - 1] + "…"


_WAIT = re.compile(
    r"(?:try again in|retry after|retry in)\s+"
    r"((?:\d{1,9}(?:\.\d{1,9})?\s?(?:milliseconds?|ms|hours?|h|minutes?|m|seconds?|s)\b\s?|\d{1,9}(?:\.\d{1,9})?[hm](?=\d))+)",
    re.IGNORECASE,
)
_PIECE = re.compile(r"(\d+(?:\.\d+)?)\s?(ms|mil|h|m|s)", re.IGNORECASE)
_UNIT = MappingProxyType({"ms": 0.001, "mil": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0})


def wait_told(told: Told) -> float | None:
    """Read the seconds to wait that a body names, as a field or in words ("Please try again in 6m0s")."""
    sources = (told.error, mapping(told.error.get("availability")), mapping(told.error.get("metadata")))
    for source in sources:
        for key in ("retryAfterSeconds", "retry_after", "retry_after_seconds"):
            value = source.get(key)
            if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 10**9:
                return float(value)
    found = _WAIT.search(told.message[:2000])
    if found is None:
        return None
    return sum(float(number) * _UNIT[unit.lower()] for number, unit in _PIECE.findall(found.group(1)))


def _phrased(phrases: tuple[Phrase, ...], message: str, status: int) -> ErrorClass | None:
    for phrase in phrases:
        if phrase.words in message and (not phrase.statuses or status == 0 or status in phrase.statuses):
            return phrase.error_class
    return None


def _names(error: Mapping[str, Any]) -> tuple[str, ...]:
    detail = mapping(error.get("detail"))
    found = [error.get(key) for key in ("code", "error_type", "type")]
    found += [mapping(error.get("metadata")).get("error_type"), mapping(error.get("availability")).get("code")]
    found += [mapping(error.get("innererror")).get("code"), detail.get("errorcode")]
    return tuple(name for name in found if isinstance(name, str) and name and _number(name) is None)


def _status(error: Mapping[str, Any]) -> int | None:
    return next(filter(None, (_number(error.get(key)) for key in _STATUS_KEYS)), None)


def _number(value: object) -> int | None:
    """Return a status written as an integer or as a string of digits."""
    if isinstance(value, str) and len(value) == 3 and value.isascii() and value.isdigit():
        value = int(value)
    return value if isinstance(value, int) and 300 <= value <= 599 else None


def _words(value: object, depth: int) -> str:
    """Find the first text in a message that may be a string, an object or a list of validation errors."""
    if isinstance(value, str) or depth == 0:
        return text(value)
    if isinstance(value, list):
        return next(filter(None, (_words(item, depth - 1) for item in value[:5])), "")
    source = mapping(value)
    return next(filter(None, (_words(source.get(key), depth - 1) for key in _WORD_KEYS)), "")
