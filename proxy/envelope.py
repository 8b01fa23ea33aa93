"""OpenAI's error envelope: the one shape in which a client hears bad news, as a body or as a frame in a stream."""

import json
from typing import Any

from proxy.errors import SidestepError
from proxy.record import Record


def error_document(error: SidestepError, record: Record | None, request_id: str) -> dict[str, Any]:
    """Build `{"error": {message, type, param, code, sidestep: {request_id, route, attempts}}}`."""
    attempts = [attempt.summary().document() for attempt in record.attempts] if record else []
    return {
        "error": {
            "message": error.message,
            "type": error.type,
            "param": error.param,
            "code": error.code,
            "sidestep": {
                "request_id": request_id,
                "route": record.route or None if record else None,
                "attempts": attempts,
            },
        }
    }


def error_body(error: SidestepError, record: Record | None, request_id: str) -> bytes:
    """Encode the envelope as a JSON body."""
    return encode(error_document(error, record, request_id))


def error_frame(error: SidestepError, record: Record) -> bytes:
    """Encode the envelope as one server-sent event. OpenAI's clients raise on its top-level `error` key."""
    return b"data: " + encode(error_document(error, record, record.request.id)) + b"\n\n"


def encode(document: Any) -> bytes:  # noqa: ANN401  any JSON value
    """Write compact UTF-8 JSON."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
