"""OpenRouter: OpenAI's dialect plus a vocabulary of its own for what went wrong at it or behind it.

Its quirks: `: OPENROUTER PROCESSING` comments, errors inside a 200 (plain and mid-stream), an `error_type` beside or
instead of a code, the upstream's own words in `metadata.raw`, empty completions from cold starts. A usage of zero is
no failure: its response cache reports that. See openrouter.ai/docs, "Errors and debugging".
"""

from dataclasses import replace
from types import MappingProxyType

from proxy.dialects.classify import Phrase, Told, classify, read_error, told_by
from proxy.dialects.documents import mapping
from proxy.dialects.openai import OPENAI_SIGNALS, PATHS, OpenAIDialect
from proxy.errors import ErrorClass
from proxy.messages import Operation

_MODERATION = ("reasons", "flagged_input", "patterns")

_NAMES = MappingProxyType(
    {
        **OPENAI_SIGNALS.names,
        # error_type
        "authentication": ErrorClass.AUTH,
        "permission_denied": ErrorClass.AUTH,
        "payment_required": ErrorClass.QUOTA,
        "max_tokens_exceeded": ErrorClass.CONTEXT_LENGTH,
        "token_limit_exceeded": ErrorClass.CONTEXT_LENGTH,
        "refusal": ErrorClass.CONTENT_POLICY,
        "not_found": ErrorClass.UNSUPPORTED,
        "string_too_long": ErrorClass.INVALID_REQUEST,
        "invalid_request": ErrorClass.INVALID_REQUEST,
        "invalid_prompt": ErrorClass.INVALID_REQUEST,
        "invalid_image": ErrorClass.INVALID_REQUEST,
        "image_too_large": ErrorClass.INVALID_REQUEST,
        "image_too_small": ErrorClass.INVALID_REQUEST,
        "image_not_found": ErrorClass.INVALID_REQUEST,
        "image_download_failed": ErrorClass.INVALID_REQUEST,
        "unsupported_image_format": ErrorClass.INVALID_REQUEST,
        "precondition_failed": ErrorClass.INVALID_REQUEST,
        "payload_too_large": ErrorClass.INVALID_REQUEST,
        "unprocessable": ErrorClass.INVALID_REQUEST,
        "server": ErrorClass.SERVER_ERROR,
        "unmapped": ErrorClass.SERVER_ERROR,
        "provider_unavailable": ErrorClass.OVERLOADED,
        "provider_overloaded": ErrorClass.OVERLOADED,
        "timeout": ErrorClass.OVERLOADED,
        # availability.code
        "wrong_endpoint": ErrorClass.UNSUPPORTED,
        "no_endpoints": ErrorClass.UNSUPPORTED,
        "model_deprecated": ErrorClass.UNSUPPORTED,
        "model_unavailable_upstream": ErrorClass.UNSUPPORTED,
        "free_variant_ended": ErrorClass.UNSUPPORTED,
        "region_restricted": ErrorClass.UNSUPPORTED,
        "privacy_restricted": ErrorClass.UNSUPPORTED,
        "constraint_filtered": ErrorClass.UNSUPPORTED,
        "capacity_exhausted": ErrorClass.RATE_LIMITED,
        "temporarily_unavailable": ErrorClass.OVERLOADED,
    }
)


def _quirk(told: Told, status: int) -> ErrorClass | None:
    """Read what stands in `metadata`."""
    metadata = mapping(told.error.get("metadata"))
    if status == 402 and metadata.get("limit_source") == "openrouter_in_flight_budget":
        return ErrorClass.RATE_LIMITED  # too much in flight at once; the money is there
    if status == 403 and any(metadata.get(key) for key in _MODERATION):
        return ErrorClass.CONTENT_POLICY
    raw = metadata.get("raw")
    if not raw or told.message.lower() != "provider returned error":
        return None
    # The upstream's words tell more than "Provider returned error"; the status stays OpenRouter's.
    inner = told_by(raw.encode("utf-8", "replace")) if isinstance(raw, str) else read_error(raw)
    return classify(replace(inner, status=None), status, OPENAI_SIGNALS)


OPENROUTER_SIGNALS = replace(
    OPENAI_SIGNALS,
    names=_NAMES,
    phrases=(
        *OPENAI_SIGNALS.phrases,
        Phrase("insufficient credits", ErrorClass.QUOTA),
        Phrase("requires more credits", ErrorClass.QUOTA),
        Phrase("no endpoints found", ErrorClass.UNSUPPORTED),
        Phrase("flagged", ErrorClass.CONTENT_POLICY, frozenset({403})),
        Phrase("rate limit exceeded", ErrorClass.RATE_LIMITED),
    ),
    quirk=_quirk,
)

OPENROUTER = OpenAIDialect(
    signals=OPENROUTER_SIGNALS,
    paths=MappingProxyType({**PATHS, Operation.IMAGES: "/images"}),
    key_path="/key",  # its list of models is open to everyone
)
