"""What the manager's methods return, made from HTTP answers. Pure.

`TextResult` and `ErrorResult` are told apart by `"error" in result`, which a type checker understands, too.
"""

from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict, final

from proxy.dialects.documents import mapping, mappings, read_json, text
from proxy.dialects.pictures import inspect
from proxy.manager.backend import Answer, Document


@final
class TextResult(TypedDict):
    """A text that a provider wrote."""

    content: str
    """Empty when the provider called tools instead."""
    provider: str
    """Who answered; empty when nobody was asked for it (a configured text)."""
    provider_used: str
    """The same, by its older name."""
    failover_occurred: bool
    """Whether another provider had failed before."""
    model: str
    """As the provider names it."""
    finish_reason: str | None
    """`stop`, `length`, `tool_calls`, ...; None when the provider told none."""
    tool_calls: list[Document]
    """In OpenAI's shape, whole."""
    usage: Document | None
    """Tokens in OpenAI's shape; None when the provider told none."""
    attempts: int
    """Upstream calls that were made for it."""
    request_id: str
    """What the log and the trace call it."""


@final
class TextPiece(TypedDict):
    """A part of a streamed text."""

    content: str


AttemptResult = TypedDict("AttemptResult", {"provider": str, "class": str, "status": int | None, "ms": float})
"""How one upstream call went, as error bodies tell it."""


@final
class ErrorResult(TypedDict):
    """Why there is no answer."""

    error: str
    code: str
    """`all_providers_failed`, `deadline_exceeded`, ..., or the provider's own."""
    status: int
    """The HTTP status that says the same."""
    attempts: list[AttemptResult]
    request_id: str


@dataclass(frozen=True, slots=True)
class HealthResult:
    """What a check of one provider found."""

    healthy: bool
    """Whether the check passed; when it could not be made, whether nothing speaks against the provider."""
    response_time: float
    """Seconds; 0 when nothing was asked."""
    error_message: str | None
    status: str
    """`healthy`, `degraded`, `unhealthy`, `unknown` or `disabled`: what is known over all."""


def text_result(answer: Answer) -> TextResult | ErrorResult:
    """Read a chat completion, or why there is none."""
    if answer.status != 200:
        return error_result(answer)
    document = _parsed(answer.body)
    choices = mappings(document.get("choices"))
    if not choices:
        return bad_answer(answer, "the answer is no chat completion")
    message = mapping(choices[0].get("message"))
    return completed(
        answer,
        content=text(message.get("content")) or text(message.get("refusal")),
        model=text(document.get("model")),
        finish_reason=text(choices[0].get("finish_reason")) or None,
        tool_calls=[dict(call) for call in mappings(message.get("tool_calls"))],
        usage=dict(mapping(document.get("usage"))) or None,
    )


def completed(
    answer: Answer,
    *,
    content: str,
    model: str,
    finish_reason: str | None,
    tool_calls: list[Document],
    usage: Document | None,
) -> TextResult:
    """Add what the headers of an answer tell to what its body told."""
    provider = answer.headers.get("x-sidestep-provider", "")
    return {
        "content": content,
        "provider": provider,
        "provider_used": provider,
        "failover_occurred": answer.headers.get("x-sidestep-failover") == "true",
        "model": model,
        "finish_reason": finish_reason,
        "tool_calls": tool_calls,
        "usage": usage,
        "attempts": int(answer.headers.get("x-sidestep-attempts") or 0),
        "request_id": answer.headers.get("x-request-id", ""),
    }


def image_result(answer: Answer) -> str | ErrorResult:
    """Read where the image is: its URL, or a `data:` URL when it came along."""
    if answer.status != 200:
        return error_result(answer)
    images = mappings(_parsed(answer.body).get("data"))
    image = images[0] if images else {}
    if url := text(image.get("url")):
        return url
    if encoded := text(image.get("b64_json")):
        return f"data:image/{_kind(encoded)};base64,{encoded}"
    return bad_answer(answer, "the answer holds no image")


def error_result(answer: Answer, document: Mapping[str, Any] | None = None) -> ErrorResult:
    """Read an error in OpenAI's shape, out of the body or a stream's event; a provider's own may have any other."""
    whole = _parsed(answer.body) if document is None else document
    error = whole.get("error")
    told = mapping(error)
    message = text(told.get("message")) or text(error) or text(whole.get("message"))
    return {
        "error": message or f"the answer has the status {answer.status}",
        "code": str(told.get("code") or told.get("type") or "error"),
        "status": answer.status if answer.status != 200 else 502,
        "attempts": [_attempt(each) for each in mappings(mapping(told.get("sidestep")).get("attempts"))],
        "request_id": answer.headers.get("x-request-id", ""),
    }


def bad_answer(answer: Answer, message: str) -> ErrorResult:
    """An answer that is not what it should be."""
    return error_result(answer, {"error": {"message": message, "code": "bad_answer"}})


def health_result(document: Mapping[str, Any]) -> HealthResult:
    """Read the answer to a check: the provider's status, and what was found at each of its endpoints."""
    status = str(document["health"]["status"])
    checks = document["checks"]
    findings = {str(each["finding"]) for each in checks}
    errors = [str(each["error"]) for each in checks if each["error"]]
    undisputed = bool(document["configured"]) and status not in {"unhealthy", "disabled"}
    return HealthResult(
        healthy="failed" not in findings and ("ok" in findings or undisputed),
        response_time=max((float(each["seconds"]) for each in checks), default=0.0),
        error_message=errors[0] if errors else None,
        status=status,
    )


def _attempt(attempt: Mapping[str, Any]) -> AttemptResult:
    return {
        "provider": str(attempt.get("provider", "")),
        "class": str(attempt.get("class", "")),
        "status": attempt.get("status"),
        "ms": float(attempt.get("ms") or 0.0),
    }


def _kind(encoded: str) -> str:
    """What an image is, by its first bytes."""
    try:
        picture = inspect(b64decode(encoded[:64]))
    except ValueError:
        picture = None
    return picture.kind if picture else "png"


def _parsed(body: bytes) -> Mapping[str, Any]:
    """The body as a JSON object; empty when it is none."""
    try:
        return mapping(read_json(body))
    except ValueError:
        return mapping(None)
