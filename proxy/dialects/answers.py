"""Whether a complete answer under 200 is one: the judge of plain bodies, for every operation of the OpenAI API.

Status 200 is not success. Providers send errors, HTML, empty and null answers under it, and a failover proxy that
counts those as success never fails over.
"""

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any

from proxy.dialects.classify import Signals, failure_of, read_error, told_by
from proxy.dialects.documents import mapping, mappings, read_json, solid, text
from proxy.dialects.facts import note
from proxy.errors import ErrorClass, Failure
from proxy.messages import Answer, AnswerFacts, Expect, Head, Operation, Request, WireRequest

BAD_FINISHES: Mapping[str, ErrorClass] = MappingProxyType(
    {
        "error": ErrorClass.SERVER_ERROR,  # OpenRouter, Mistral
        "insufficient_system_resource": ErrorClass.OVERLOADED,  # DeepSeek
    }
)
"""Finish reasons that say the provider failed midway."""

_BYTES, _SSE = Expect.BYTES, Expect.SSE  # kept at hand: looking a member up is slow before Python 3.12
_CUT_SHORT = frozenset({"length", "model_length", "max_tokens"})
_OUTPUT_KEYS = frozenset(
    {
        "content",
        "text",
        "tool_calls",
        "refusal",
        "reasoning",
        "reasoning_content",
        "reasoning_details",
        "function_call",
        "audio",
        "images",
    }
)


def speaks(choice: Mapping[str, Any]) -> bool:
    """Whether a choice holds real output: content, reasoning, refusal, tool call, audio, image. A role is none."""
    for part in (choice.get("delta"), choice.get("message"), choice):
        if isinstance(part, dict):
            for key, value in part.items():
                if value and key in _OUTPUT_KEYS and (isinstance(value, str) or solid(value)):
                    return True
    return False


def failed_choice(choice: Mapping[str, Any], signals: Signals) -> Failure | None:
    """Return the failure that a choice carries inside, if any (OpenRouter: `choices[0].error`, finish `error`)."""
    if choice.get("error"):
        return failure_of(read_error(choice), signals, status=200)
    reason = choice.get("finish_reason")
    error_class = BAD_FINISHES.get(reason) if isinstance(reason, str) else None
    if error_class is None:
        return None
    return Failure(error_class=error_class, message="the provider failed in the middle of its answer")


def emptiness(reasons: Collection[str], facts: AnswerFacts, request: Request) -> Failure | None:
    """Judge an answer without any output; None when even so it is a legitimate one.

    Legitimate: the token limit was used up (by hidden reasoning, as a rule), which another provider would only
    repeat; or a stop sequence of the client's came first, after tokens were spent.
    """
    if "content_filter" in reasons:
        return Failure(error_class=ErrorClass.CONTENT_POLICY, message="the provider's filter withheld the whole answer")
    if _CUT_SHORT.intersection(reasons) and facts.output_tokens != 0:
        return None
    if "stop" in reasons and request.document.get("stop") and facts.output_tokens:
        return None
    return soft("the answer is empty")


def soft(message: str) -> Failure:
    """Make the failure of a 200 that is no answer."""
    return Failure(error_class=ErrorClass.SOFT_FAILURE, message=message, status=200)


def judge_listing(body: bytes, signals: Signals) -> Failure | None:
    """Judge the answer to a check: JSON, and no error. Its entries are not looked at.

    An empty list of models is an honest answer; a sign-in page or a gateway's HTML under 200 is not.
    """
    try:
        document = read_json(body)
    except ValueError:
        return soft("the answer to a check is not JSON")
    if isinstance(document, dict) and document.get("error"):
        return failure_of(read_error(document), signals, status=200)
    return None if isinstance(document, dict | list) else soft("the answer to a check is no list and no object")


def judge(request: Request, wire: WireRequest, head: Head, body: bytes, signals: Signals) -> Answer | Failure:
    """Judge a complete 2xx body; a good one is passed on unchanged."""
    if not body or body.isspace():
        return soft("the body is empty")
    media = head.media_type
    if wire.expect is _BYTES:
        return _judge_bytes(request, head, body, signals)
    if media == "text/html" or (media != "application/json" and body.lstrip()[:1] == b"<"):
        return soft("the provider sent a page instead of an answer")
    if media == "text/event-stream" and wire.expect is not _SSE:
        return soft("asked for a plain answer, got a stream")
    try:
        document = read_json(body)
    except ValueError:
        return Failure(error_class=ErrorClass.BROKEN, message="the answer is not JSON", status=200)
    return _judge_document(request, wire, document, body, signals)


def _judge_document(
    request: Request, wire: WireRequest, document: object, body: bytes, signals: Signals
) -> Answer | Failure:
    if error := _error_inside(document):
        return failure_of(read_error(error), signals, status=200, body=body)
    if not isinstance(document, dict):
        return soft("the answer is not an object")
    if wire.expect is _SSE:
        return soft("asked for a stream, got a plain answer")
    facts = AnswerFacts()
    note(facts, document)
    problem = _JUDGES[request.operation](document, facts, request, signals)
    return problem or Answer(body=body, facts=facts)


def _judge_bytes(request: Request, head: Head, body: bytes, signals: Signals) -> Answer | Failure:
    """Judge audio, or a transcript, which may be JSON or plain text as the client asked."""
    media = head.media_type
    transcript = request.operation is not Operation.SPEECH
    if media == "text/html":
        return soft("the provider sent a page instead of an answer")
    if media == "application/json" or media.endswith("+json"):
        told = told_by(body)
        if not transcript or _error_inside_bytes(body):
            return failure_of(told, signals, status=200, body=body)
    elif media.startswith("text/") and not transcript:
        return soft(f"asked for audio, got {media}")
    return Answer(body=body, content_type=head.headers.get("content-type", "application/octet-stream"))


def _error_inside_bytes(body: bytes) -> bool:
    try:
        return _error_inside(read_json(body)) is not None
    except ValueError:
        return True


def _error_inside(document: object) -> object | None:
    """Return the part of a 200's body that is an error, or None."""
    if isinstance(document, list):
        document = document[0] if document else None
    if not isinstance(document, dict):
        return None
    told = document.get
    return document if told("error") or told("object") == "error" or told("fault") else None


_Judge = Callable[[Mapping[str, Any], AnswerFacts, Request, Signals], Failure | None]


def _judge_choices(
    document: Mapping[str, Any], facts: AnswerFacts, request: Request, signals: Signals
) -> Failure | None:
    spoke = False
    for choice in mappings(document.get("choices")):
        if failure := failed_choice(choice, signals):
            return failure
        if reason := text(choice.get("finish_reason")):
            facts.finish_reasons += (reason,)
        spoke = spoke or speaks(choice)
    return None if spoke else emptiness(facts.finish_reasons, facts, request)


def _judge_response(
    document: Mapping[str, Any], facts: AnswerFacts, request: Request, _signals: Signals
) -> Failure | None:
    status = document.get("status")
    if status in {"failed", "cancelled"}:
        return Failure(error_class=ErrorClass.SERVER_ERROR, message=f"the provider's response {status}", status=200)
    if status in {"queued", "in_progress"} or solid(document.get("output")):
        return None
    reason = text(mapping(document.get("incomplete_details")).get("reason"))
    return emptiness((_RESPONSE_REASONS.get(reason, reason),), facts, request)


_RESPONSE_REASONS = MappingProxyType({"max_output_tokens": "length"})


def _judge_list(key: str) -> _Judge:
    def judge_list(
        document: Mapping[str, Any], _facts: AnswerFacts, _request: Request, _signals: Signals
    ) -> Failure | None:
        return None if mappings(document.get(key)) else soft(f"the answer's `{key}` is empty")

    return judge_list


def _judge_images(
    document: Mapping[str, Any], _facts: AnswerFacts, _request: Request, _signals: Signals
) -> Failure | None:
    pictures = mappings(document.get("data"))
    drawn = any(text(picture.get("b64_json")) or text(picture.get("url")) for picture in pictures)
    return None if drawn else soft("the answer holds no image")


_JUDGES: Mapping[Operation, _Judge] = MappingProxyType(
    {
        Operation.CHAT: _judge_choices,
        Operation.COMPLETIONS: _judge_choices,
        Operation.RESPONSES: _judge_response,
        Operation.EMBEDDINGS: _judge_list("data"),
        Operation.MODERATIONS: _judge_list("results"),
        Operation.IMAGES: _judge_images,
    }
)
