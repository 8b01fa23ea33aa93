"""The dialect of OpenAI and of everybody who imitates it: vLLM, Ollama, llama.cpp, Groq, Mistral, Azure, xAI, ...

Requests and answers pass through byte for byte wherever nothing needs rewriting: the model's name on the way out, and
usage that was asked for on the client's behalf on the way back.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType

from proxy.config.snapshot import Provider
from proxy.dialects.answers import judge, judge_listing
from proxy.dialects.chat_stream import ChatGrammar
from proxy.dialects.classify import Phrase, Signals, failure_of, told_by
from proxy.dialects.documents import mapping
from proxy.dialects.event_stream import TypedGrammar
from proxy.dialects.splice import changed
from proxy.dialects.stream import EventReader
from proxy.errors import ErrorClass, Failure
from proxy.messages import Answer, Expect, Head, Operation, Request, WireRequest

PATHS: Mapping[Operation, str] = MappingProxyType(
    {
        Operation.CHAT: "/chat/completions",
        Operation.COMPLETIONS: "/completions",
        Operation.EMBEDDINGS: "/embeddings",
        Operation.IMAGES: "/images/generations",
        Operation.RESPONSES: "/responses",
        Operation.MODERATIONS: "/moderations",
        Operation.SPEECH: "/audio/speech",
        Operation.TRANSCRIPTIONS: "/audio/transcriptions",
        Operation.TRANSLATIONS: "/audio/translations",
    }
)

CHUNKED = frozenset({Operation.CHAT, Operation.COMPLETIONS})
"""Operations that stream chunks, whose usage must be asked for; the others stream typed events."""

_BYTES = frozenset({Operation.SPEECH, Operation.TRANSCRIPTIONS, Operation.TRANSLATIONS})
_FORMS = MappingProxyType({each: Expect.BYTES if each in _BYTES else Expect.JSON for each in Operation})
"""What an operation is answered with, when not with a stream."""
_SSE = Expect.SSE  # kept at hand: looking a member up is slow before Python 3.12
_ACCEPT = MappingProxyType({Expect.JSON: "application/json", Expect.SSE: "text/event-stream"})


def user_agent(distribution: str) -> str:
    """Write who we are; without a version in a checkout that was never installed."""
    try:
        return f"{distribution}/{version(distribution)}"
    except PackageNotFoundError:
        return distribution


_USER_AGENT = user_agent("sidestep")

_CLIENT = frozenset({400, 403, 413, 422, 429})

OPENAI_SIGNALS = Signals(
    overrides=(
        # A single request over the tokens-per-minute limit (OpenAI 429, Groq 413): waiting never helps, and the
        # account is not to blame, so it counts as a prompt that does not fit this provider.
        Phrase("request too large for", ErrorClass.CONTEXT_LENGTH, frozenset({413, 429})),
        Phrase("the engine is currently overloaded", ErrorClass.OVERLOADED),
        Phrase("experiencing high demand", ErrorClass.OVERLOADED),  # Azure's 429 for want of capacity
        Phrase("invalid token", ErrorClass.AUTH, frozenset({498})),  # Cohere; Groq's 498 is capacity
    ),
    names=MappingProxyType(
        {
            # the account's money
            "insufficient_quota": ErrorClass.QUOTA,
            "credit_balance_exhausted": ErrorClass.QUOTA,
            "billing_hard_limit_reached": ErrorClass.QUOTA,
            "billing_not_active": ErrorClass.QUOTA,
            "spend_limit_reached": ErrorClass.QUOTA,
            # pace
            "rate_limit_exceeded": ErrorClass.RATE_LIMITED,
            "rate_limit_error": ErrorClass.RATE_LIMITED,
            "rate_limited": ErrorClass.RATE_LIMITED,
            "slow_down": ErrorClass.RATE_LIMITED,
            "requests": ErrorClass.RATE_LIMITED,
            "tokens": ErrorClass.RATE_LIMITED,
            # capacity
            "server_is_overloaded": ErrorClass.OVERLOADED,
            "overloaded_error": ErrorClass.OVERLOADED,
            "capacity_exceeded": ErrorClass.OVERLOADED,
            "service_tier_capacity_exceeded": ErrorClass.OVERLOADED,
            "3505": ErrorClass.OVERLOADED,  # Mistral
            # the prompt's size
            "context_length_exceeded": ErrorClass.CONTEXT_LENGTH,
            "exceed_context_size_error": ErrorClass.CONTEXT_LENGTH,  # llama.cpp
            # what is not there
            "model_not_found": ErrorClass.UNSUPPORTED,
            "deploymentnotfound": ErrorClass.UNSUPPORTED,  # Azure
            "not_supported_error": ErrorClass.UNSUPPORTED,  # llama.cpp: started without this endpoint
            # moderation
            "content_policy_violation": ErrorClass.CONTENT_POLICY,
            "moderation_blocked": ErrorClass.CONTENT_POLICY,
            "content_filter": ErrorClass.CONTENT_POLICY,
            "responsibleaipolicyviolation": ErrorClass.CONTENT_POLICY,
            "bio_policy": ErrorClass.CONTENT_POLICY,
            # the key
            "invalid_api_key": ErrorClass.AUTH,
            "ip_not_authorized": ErrorClass.AUTH,
            "unsupported_country_region_territory": ErrorClass.AUTH,
            "insufficient_permissions": ErrorClass.AUTH,
            # the model wrote a bad call or bad JSON: Groq says 400, another try may well succeed
            "tool_use_failed": ErrorClass.SERVER_ERROR,
            "json_validate_failed": ErrorClass.SERVER_ERROR,
            "vector_store_timeout": ErrorClass.SERVER_ERROR,
        }
    ),
    phrases=(
        Phrase("incorrect api key", ErrorClass.AUTH, frozenset({400})),  # xAI
        Phrase("api key not valid", ErrorClass.AUTH, frozenset({400})),  # Gemini
        Phrase("used all available credits", ErrorClass.QUOTA),  # xAI
        Phrase("insufficient balance", ErrorClass.QUOTA),  # DeepSeek
        Phrase("exceeded your current quota", ErrorClass.QUOTA),
        Phrase("suspended", ErrorClass.QUOTA, frozenset({412})),  # Fireworks
        Phrase("overloaded", ErrorClass.OVERLOADED, frozenset({429, 500})),
        Phrase("server busy", ErrorClass.OVERLOADED, frozenset({503})),  # Ollama's full queue
        Phrase("maximum context length", ErrorClass.CONTEXT_LENGTH, _CLIENT),
        Phrase("context length", ErrorClass.CONTEXT_LENGTH, _CLIENT),
        Phrase("context window", ErrorClass.CONTEXT_LENGTH, _CLIENT),
        Phrase("context size", ErrorClass.CONTEXT_LENGTH, _CLIENT),
        Phrase("prompt is too long", ErrorClass.CONTEXT_LENGTH, _CLIENT),
        Phrase("is not a valid model", ErrorClass.UNSUPPORTED, frozenset({400})),
        Phrase("model not found", ErrorClass.UNSUPPORTED, frozenset({400, 403})),
        Phrase("unknown model", ErrorClass.UNSUPPORTED, frozenset({400})),
        Phrase("does not support tools", ErrorClass.UNSUPPORTED, frozenset({400})),  # Ollama
        Phrase("content management policy", ErrorClass.CONTENT_POLICY, frozenset({400})),  # Azure
        Phrase("safety system", ErrorClass.CONTENT_POLICY, frozenset({400})),
        Phrase("moderation", ErrorClass.CONTENT_POLICY, frozenset({403})),
    ),
)


@dataclass(frozen=True, slots=True)
class OpenAIDialect:
    """The OpenAI API with one provider family's paths and error signals."""

    signals: Signals
    paths: Mapping[Operation, str]
    key_path: str = "/models"
    """What may be asked for free, and is answered to a good key only."""

    def encode(self, request: Request, provider: Provider, model: str) -> WireRequest | Failure:
        """Write the call for `model`, at the operation's path under the provider's `base_url`."""
        path = self.paths[request.operation]
        return write_call(request, provider, model, url=provider.base_url + path, template=path)

    def failure(self, head: Head, body: bytes) -> Failure:
        """Classify an answer with status >= 300."""
        return failure_of(told_by(body), self.signals, status=head.status, body=body)

    def decode(self, request: Request, wire: WireRequest, head: Head, body: bytes) -> Answer | Failure:
        """Judge a complete 2xx body; a good one passes unchanged."""
        return judge(request, wire, head, body, self.signals)

    def reader(self, request: Request, wire: WireRequest, head: Head, *, keep_text: bool = False) -> EventReader | None:
        """Make the reader for a stream; None when a plain answer was asked for, or came."""
        if wire.expect is not _SSE or head.media_type not in {"text/event-stream", ""}:
            return None
        if request.operation in CHUNKED:
            return EventReader(ChatGrammar(request, self.signals, keep_text=keep_text), self.signals)
        return EventReader(TypedGrammar(request, self.signals, keep_text=keep_text), self.signals)

    def check(self, provider: Provider, capability: str) -> WireRequest:  # noqa: ARG002  all are served by one root
        """Ask what needs the key; without one, for the models."""
        return question(provider, provider.base_url, self.key_path if provider.api_key else "/models")

    def healthy(self, head: Head, body: bytes) -> Failure | None:  # noqa: ARG002  the status was good
        """Judge a list, or what is known of the key."""
        return judge_listing(body, self.signals)


OPENAI = OpenAIDialect(OPENAI_SIGNALS, PATHS)


def write_call(request: Request, provider: Provider, model: str, *, url: str, template: str) -> WireRequest:
    """Write a POST of the client's own body, changed only where the model's name or the usage flag demands it."""
    expect = _expect(request)
    return WireRequest(
        method="POST",
        url=url,
        headers=headers(provider, accept=_ACCEPT.get(expect, "*/*"), content_type=request.content_type),
        body=_body(request, provider, model),
        model=model,
        expect=expect,
        template=template,
    )


def question(provider: Provider, root: str, path: str, *, with_key: bool = True) -> WireRequest:
    """Write a GET of `path` under `root`, with the headers of a real call."""
    written = headers(provider, accept="application/json, */*")
    if not with_key:
        written.pop("authorization", None)
    return WireRequest(
        method="GET", url=root + path, headers=written, body=None, model="", expect=Expect.JSON, template=path
    )


def headers(provider: Provider, *, accept: str, content_type: str | None = None) -> dict[str, str]:
    """Write the headers of a call: the provider's own fixed ones win. Names are lower-case."""
    written = {"accept": accept, "accept-encoding": "identity", "user-agent": _USER_AGENT}
    if content_type:
        written["content-type"] = content_type
    if provider.api_key:
        written["authorization"] = "Bearer " + provider.api_key.reveal()
    if provider.headers:
        written |= {name.lower(): value for name, value in provider.headers.items()}
    return written


def _expect(request: Request) -> Expect:
    if request.stream or request.document.get("stream_format") == "sse":
        return Expect.SSE
    return _FORMS[request.operation]


def _body(request: Request, provider: Provider, model: str) -> bytes:
    document = request.document
    if not document:  # a multipart upload, whose parts are not ours to take apart
        return request.body
    changes: dict[str, object] = {}
    if model and document.get("model") != model:
        changes["model"] = model
    if request.stream and request.operation in CHUNKED and provider.stream_usage and not request.wants_usage:
        changes["stream_options"] = {**mapping(document.get("stream_options")), "include_usage": True}
    return changed(request.body, document, changes) if changes else request.body
