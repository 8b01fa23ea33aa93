"""Pollinations, all three generations of it: OpenAI chat posted to one full URL, images by GET, errors of its own.

Generation A and the shim over it put the message in `error` as a string; generation C (gen.pollinations.ai) has an
envelope with a code, and hides the status of its own upstream in `details.upstreamStatus`. Edge failures are
Cloudflare's pages. Completeness of a stream is judged by finish reasons, since the gateway appends `[DONE]` to
truncated answers.
"""

from dataclasses import dataclass, replace
from types import MappingProxyType
from urllib.parse import urlsplit

from msgspec import structs

from proxy.config.snapshot import Provider
from proxy.dialects import pollinations_images
from proxy.dialects.answers import judge, judge_listing
from proxy.dialects.base import StreamReader
from proxy.dialects.classify import Phrase, Signals, Told, by_status, failure_of, told_by
from proxy.dialects.documents import mapping, mappings, read_json, text, write_json
from proxy.dialects.openai import OPENAI, OPENAI_SIGNALS, question, write_call
from proxy.dialects.refusals import RefusalReader, refusal
from proxy.errors import ErrorClass, Failure
from proxy.messages import Answer, Expect, Head, Operation, Request, WireRequest

_MILLISECONDS = 10**11
"""A `created` above this is no number of seconds (it would be the year 5138)."""

_UPSTREAM = MappingProxyType(
    {
        401: ErrorClass.SERVER_ERROR,  # their key, not ours
        403: ErrorClass.SERVER_ERROR,
        404: ErrorClass.UNSUPPORTED,
        409: ErrorClass.SERVER_ERROR,
        415: ErrorClass.SERVER_ERROR,
        429: ErrorClass.RATE_LIMITED,
    }
)
"""Statuses that the gateway answers with 502, by what they were."""


def _quirk(told: Told, status: int) -> ErrorClass | None:
    """Judge a 502 by the status of the gateway's own upstream."""
    upstream = mapping(told.error.get("details")).get("upstreamStatus")
    if status != 502 or not isinstance(upstream, int):
        return None
    return _UPSTREAM.get(upstream) or by_status(502)


POLLINATIONS_SIGNALS: Signals = replace(
    OPENAI_SIGNALS,
    overrides=(
        *OPENAI_SIGNALS.overrides,
        Phrase("queue full", ErrorClass.RATE_LIMITED, frozenset({402, 429, 500, 503})),
        Phrase("tier not high enough", ErrorClass.UNSUPPORTED),
        Phrase("hourly limit reached", ErrorClass.RATE_LIMITED),
        Phrase("content is prohibited", ErrorClass.CONTENT_POLICY),
        Phrase("nsfw content detected", ErrorClass.CONTENT_POLICY),
        # After several violations the whole IP is out for a while: nothing about this one request.
        Phrase("has been temporarily blocked", ErrorClass.QUOTA),
    ),
    names=MappingProxyType(
        {
            **OPENAI_SIGNALS.names,
            "concurrency_limit_exceeded": ErrorClass.RATE_LIMITED,
            "rate limit exceeded": ErrorClass.RATE_LIMITED,
            "key_budget_exhausted": ErrorClass.QUOTA,
            "insufficient_balance": ErrorClass.QUOTA,
            "quest_pollen_only": ErrorClass.QUOTA,
            "safety_error": ErrorClass.CONTENT_POLICY,
        }
    ),
    quirk=_quirk,
)

_TEXT = replace(OPENAI, signals=POLLINATIONS_SIGNALS)


@dataclass(frozen=True, slots=True)
class PollinationsDialect:
    """Chat over `text_url`, images over `image_url`; nothing else."""

    def encode(self, request: Request, provider: Provider, model: str) -> WireRequest | Failure:
        """Write the call; an operation other than chat and images is `unsupported`."""
        if request.operation is Operation.IMAGES:
            return pollinations_images.encode(request, provider, model)
        if request.operation is Operation.CHAT:
            return write_call(request, provider, model, url=provider.text_url, template="/openai")
        message = f"this provider does not do {request.operation.value}"
        return Failure(error_class=ErrorClass.UNSUPPORTED, message=message, sent=False)

    def failure(self, head: Head, body: bytes) -> Failure:
        """Classify an answer with status >= 300."""
        return failure_of(told_by(body), POLLINATIONS_SIGNALS, status=head.status, body=body)

    def decode(self, request: Request, wire: WireRequest, head: Head, body: bytes) -> Answer | Failure:
        """Judge a complete 2xx body: an image, or a chat completion that may be a refusal in disguise."""
        if wire.expect is Expect.IMAGE:
            return pollinations_images.decode(request, wire, head, body, POLLINATIONS_SIGNALS)
        answer = judge(request, wire, head, body, POLLINATIONS_SIGNALS)
        if isinstance(answer, Failure) or request.operation is not Operation.CHAT:
            return answer
        return _sift(answer, head)

    def reader(
        self, request: Request, wire: WireRequest, head: Head, *, keep_text: bool = False
    ) -> StreamReader | None:
        """Make the reader for a chat stream; None for anything else."""
        inner = _TEXT.reader(request, wire, head, keep_text=True)
        return inner and RefusalReader(inner, head, keep_text=keep_text)

    def check(self, provider: Provider, capability: str) -> WireRequest:
        """Ask the endpoint's host for its models, which it tells without a key and without its queue."""
        url = urlsplit(provider.endpoint(capability))
        path = "/v1/models" if url.path.startswith("/v1/") else "/models"
        return question(provider, f"{url.scheme}://{url.netloc}", path, with_key=False)

    def healthy(self, head: Head, body: bytes) -> Failure | None:  # noqa: ARG002  the status was good
        """Judge a list of models."""
        return judge_listing(body, POLLINATIONS_SIGNALS)


def _sift(answer: Answer, head: Head) -> Answer | Failure:
    """Refuse refusals; turn a `created` in milliseconds into seconds."""
    document = mapping(read_json(answer.body))
    messages = [mapping(choice.get("message")) for choice in mappings(document.get("choices"))]
    said = "".join(text(message.get("content")) for message in messages)
    if failure := refusal(said, answer.facts, head):
        return failure
    created = document.get("created")
    if isinstance(created, int) and created > _MILLISECONDS:
        return structs.replace(answer, body=write_json({**document, "created": created // 1000}))
    return answer


POLLINATIONS = PollinationsDialect()
