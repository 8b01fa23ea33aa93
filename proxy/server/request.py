"""From the bytes of a POST to a `Request`, or the 4xx that says what is wrong with it. Pure.

Strict where leniency would let two readers of the same body disagree: RFC 8259 JSON, no NaN, no duplicate keys, no
lone surrogates, bounded depth.
"""

import json
import re
from collections.abc import Mapping
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

from proxy.errors import ClientError
from proxy.messages import ENDPOINTS, Operation, Request

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:\-]{1,128}\Z")
_MULTIPART = frozenset({Operation.TRANSCRIPTIONS, Operation.TRANSLATIONS})
_PINNED_FIELDS = ("previous_response_id", "conversation", "background")
MAX_MODEL = 256
"""Characters of a model name."""


def operation_of(path: str) -> Operation | None:
    """The operation behind a raw request target (its query is ignored); None when there is no such endpoint."""
    return ENDPOINTS.get(path.partition("?")[0])


def request_id(wanted: str | None, made: str) -> str:
    """Keep the client's `x-request-id` when it is safe to log and to echo, else use the one made here."""
    return wanted if wanted and _REQUEST_ID.match(wanted) else made


def parse_request(
    *, identifier: str, path: str, operation: Operation, headers: Mapping[str, str], body: bytes, received: float
) -> Request:
    """Build the Request. `headers` has lower-case names. Raises ClientError 400 or 415."""
    content_type = headers.get("content-type", "")
    media_type = content_type.partition(";")[0].strip().lower()
    if operation in _MULTIPART:
        if media_type != "multipart/form-data":
            raise ClientError("this endpoint takes multipart/form-data", status=415, code="unsupported_media_type")
        document, model = {}, _model_of_form(content_type, body)
    else:
        if media_type not in {"application/json", ""}:
            raise ClientError("this endpoint takes application/json", status=415, code="unsupported_media_type")
        document = parse_document(body)
        model = _text(document, "model")
    stream = _flag(document, "stream")
    return Request(
        id=identifier,
        operation=operation,
        path=path.partition("?")[0],
        body=body,
        document=document,
        content_type=content_type or "application/json",
        model=_bounded(model),
        stream=stream,
        tools=bool(document.get("tools") or document.get("functions")),
        pinned=operation is Operation.RESPONSES and any(document.get(name) for name in _PINNED_FIELDS),
        wants_usage=_wants_usage(document),
        preferred=headers.get("x-sidestep-provider"),
        timeout=_seconds(headers.get("x-sidestep-timeout")),
        headers=headers,
        received=received,
    )


def parse_document(body: bytes) -> dict[str, Any]:
    """Parse a strict JSON object. Raises ClientError `invalid_json`; never anything else, whatever the bytes."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise _invalid("the body is not UTF-8") from None
    if text.startswith("\ufeff"):
        raise _invalid("the body starts with a byte order mark")
    try:
        document = json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constants)
    except json.JSONDecodeError as error:
        raise _invalid(f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise _invalid("the body is nested too deeply") from None
    except ValueError as error:
        raise _invalid(f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise _invalid("the body must be a JSON object")
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


def _has_lone_surrogate(document: dict[str, Any]) -> bool:
    try:
        json.dumps(document, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name, "")
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ClientError(f"'{name}' must be a string", param=name)
    return value


def _bounded(model: str) -> str:
    if len(model) > MAX_MODEL:
        raise ClientError(f"'model' is longer than {MAX_MODEL} characters", param="model")
    return model


def _flag(document: Mapping[str, Any], name: str) -> bool:
    value = document.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise ClientError(f"'{name}' must be true or false", param=name)


def _wants_usage(document: Mapping[str, Any]) -> bool:
    options = document.get("stream_options")
    return isinstance(options, dict) and bool(options.get("include_usage"))


def _seconds(value: str | None) -> float | None:
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ClientError("x-sidestep-timeout must be a positive number of seconds", param="x-sidestep-timeout")
    return seconds


def _model_of_form(content_type: str, body: bytes) -> str:
    """Read the `model` field of a multipart upload; the body itself is passed on untouched."""
    form = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    for part in form.iter_parts() if form.is_multipart() else ():
        if part.get_param("name", header="content-disposition") == "model":
            return str(part.get_payload(decode=True), "utf-8", "replace").strip()  # type: ignore[arg-type]
    return ""


def _invalid(message: str) -> ClientError:
    return ClientError(message, code="invalid_json")
