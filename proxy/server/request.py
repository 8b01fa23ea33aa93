"""From the bytes of a POST to a `Request`, or the 4xx that says what is wrong with it. Pure.

Strict where leniency would let two readers of the same body disagree: RFC 8259 JSON, no NaN, no duplicate keys, no
lone surrogates, bounded depth.
"""

import json
import re
from collections.abc import Mapping
from math import isinf
from typing import Any

from proxy.dialects.documents import read_plain
from proxy.errors import ClientError
from proxy.messages import ENDPOINTS, Operation, Request

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:\-]{1,128}\Z")
_JSON = "application/json"
_MULTIPART = frozenset({Operation.TRANSCRIPTIONS, Operation.TRANSLATIONS})
_CONVERSATIONS = frozenset({Operation.RESPONSES})
_PINNED_FIELDS = ("previous_response_id", "conversation", "background")
_SECONDS = re.compile(r"[0-9.eE+]{1,32}\Z", re.ASCII)
_BOUNDARY = re.compile(r""";\s*boundary=(?:"([ -~]{1,70})"|([!-~]{1,70}?))\s*(?:;|\Z)""", re.IGNORECASE)
"""RFC 2046 section 5.1.1: at most 70 characters."""
_MODEL_PART = re.compile(
    rb"""^content-disposition:(?:"[^"\r\n]*"|[^"\r\n])*?;[ \t]*name=(?:"model"|model)[ \t]*(?:;|\r|\Z)""",
    re.IGNORECASE | re.MULTILINE,
)
"""A part's headers that name it `model`; what stands in another parameter's quotes does not count."""
MAX_MODEL = 256
"""Characters of a model name."""
MAX_DEPTH = 200
"""Levels of objects and arrays; far below where the interpreter's own limit would end the request elsewhere."""
_CONTAINERS = frozenset({dict, list})
MAX_PARTS = 64
"""Parts of an upload that are searched for its model."""
MAX_PART_HEAD = 4096
"""Bytes of a part's headers that are read."""


def operation_of(path: str) -> Operation | None:
    """The operation behind a raw request target (its query is ignored); None when there is no such endpoint."""
    return ENDPOINTS.get(path.partition("?")[0])


def request_id(wanted: str, made: str) -> str:
    """Keep the client's `x-request-id` when it is safe to log and to echo, else use the one made here."""
    return wanted if _REQUEST_ID.match(wanted) else made


def complete(request: Request, headers: Mapping[str, str], body: bytes) -> None:
    """Fill in what headers (looked up in lower case) and body say. Raises ClientError 400 or 415."""
    operation = request.operation
    content_type = check_media_type(operation, headers)
    document: dict[str, Any]
    model: Any
    if operation in _MULTIPART:
        document, model = {}, _model_of_form(content_type, body)
    else:
        document = parse_document(body)
        model = document.get("model")
    if model is None:
        model = ""
    elif not isinstance(model, str):
        raise ClientError("'model' must be a string", param="model")
    stream = document.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise ClientError("'stream' must be true or false", param="stream")
    if len(model) > MAX_MODEL:
        raise ClientError(f"'model' is longer than {MAX_MODEL} characters", param="model")
    request.body = body
    request.document = document
    request.model = model
    request.headers = headers
    if content_type:
        request.content_type = content_type
    request.stream = bool(stream)
    _heed_wishes(request, headers)
    if document.get("tools") or document.get("functions"):
        request.tools = True
    if "stream_options" in document:
        request.wants_usage = _wants_usage(document)
    if operation in _CONVERSATIONS:
        request.pinned = any(document.get(name) for name in _PINNED_FIELDS)


def _heed_wishes(request: Request, headers: Mapping[str, str]) -> None:
    preferred, timeout = headers.get("x-sidestep-provider"), headers.get("x-sidestep-timeout")
    if preferred is not None:
        request.preferred = preferred
    if timeout is not None:
        request.timeout = _seconds(timeout)


def check_media_type(operation: Operation, headers: Mapping[str, str]) -> str:
    """Return the content type if the endpoint takes it; none at all counts as JSON. Raises ClientError 415.

    It is passed on, so it must be printable ASCII: nothing of a client's may fail where a provider would be blamed.
    """
    content_type = headers.get("content-type", "")
    if content_type == _JSON and operation not in _MULTIPART:
        return content_type
    media_type = content_type.partition(";")[0].strip().lower()
    wanted = "multipart/form-data" if operation in _MULTIPART else _JSON
    taken = media_type == wanted or (not media_type and operation not in _MULTIPART)
    if not taken or not (content_type.isascii() and content_type.replace("\t", " ").isprintable()):
        raise ClientError(f"this endpoint takes {wanted}", status=415, code="unsupported_media_type")
    return content_type


def parse_document(body: bytes) -> dict[str, Any]:
    """Parse a strict JSON object. Raises ClientError `invalid_json`; never anything else, whatever the bytes.

    What is not plain, or wrong, is left to the stdlib: it takes longer, but can be told what to refuse, and says where.
    """
    try:
        document = read_plain(body)
    except ValueError:
        document = _strictly(body)
    if not isinstance(document, dict):
        raise _invalid("the body must be a JSON object")
    if len(body) > 2 * MAX_DEPTH and body.count(b"{") + body.count(b"[") > MAX_DEPTH and _too_deep(document):
        raise _invalid(f"the body is nested more than {MAX_DEPTH} levels deep")
    return document


def _strictly(body: bytes) -> object:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise _invalid("the body is not UTF-8") from None
    if text.startswith("\ufeff"):
        raise _invalid("the body starts with a byte order mark")
    try:
        document: object = _STRICT.decode(text)
    except json.JSONDecodeError as error:
        raise _invalid(f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise _invalid("the body is nested too deeply") from None
    except ValueError as error:
        raise _invalid(f"the body is not JSON: {error}") from None
    if "\\u" in text and _has_lone_surrogate(document):
        raise _invalid("the body holds half of a surrogate pair")
    return document


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {json.dumps(twice[:100])} stands twice in one object")
    return document


def _no_constants(name: str) -> Any:  # noqa: ANN401  never returns
    raise ValueError(f"{name} is not a JSON value")


def _finite(number: str) -> float:
    """Refuse what no double can hold: written on to a provider it would become `Infinity`, which is no JSON."""
    value = float(number)
    if isinf(value):
        raise ValueError("a number is out of range")
    return value


_STRICT = json.JSONDecoder(object_pairs_hook=_no_duplicates, parse_constant=_no_constants, parse_float=_finite)


def _too_deep(document: dict[str, Any]) -> bool:
    level: list[Any] = [document]
    for _ in range(MAX_DEPTH):
        children = [node.values() if type(node) is dict else node for node in level]
        level = [child for node in children for child in node if type(child) in _CONTAINERS]
        if not level:
            return False
    return True


def _has_lone_surrogate(document: object) -> bool:
    try:
        json.dumps(document, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _wants_usage(document: Mapping[str, Any]) -> bool:
    options = document.get("stream_options")
    return isinstance(options, dict) and bool(options.get("include_usage"))


def _seconds(value: str) -> float:
    try:
        seconds = float(value) if _SECONDS.match(value) else 0.0
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ClientError("x-sidestep-timeout must be a positive number of seconds", param="x-sidestep-timeout")
    return seconds


def _model_of_form(content_type: str, body: bytes) -> str:
    """Read the `model` field of a multipart upload (RFC 7578); the body itself is passed on untouched.

    A search, not a parser: an upload is megabytes of audio, and parsing it line by line would hold up everybody.
    """
    found = _BOUNDARY.search(content_type)
    if found is None:
        raise ClientError("the upload names no usable boundary", param="content-type")
    delimiter = b"\r\n--" + (found[1] or found[2]).encode("ascii")
    for part in (b"\r\n" + body).split(delimiter, MAX_PARTS)[1:]:
        head, _, value = part.partition(b"\r\n\r\n")
        if _MODEL_PART.search(head[:MAX_PART_HEAD]):
            return value[: 4 * MAX_MODEL + 4].decode("utf-8", "replace").strip()
    return ""


def _invalid(message: str) -> ClientError:
    return ClientError(message, code="invalid_json")
