"""Is a provider alive? What to ask it, for free wherever that can be, and what its answer proves.

In this order: the `path` that the configuration names; a completion of a few tokens where it allows the cost; else what
the dialect asks, which costs nothing. All of them travel with the headers of a real call. A few tokens are 16, not 1: a
reasoning model cannot even begin on one, and an answer without any output proves nothing.
"""

from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urlsplit

from proxy.config.snapshot import Expectation, Provider
from proxy.dialects.answers import soft, speaks
from proxy.dialects.base import Dialect
from proxy.dialects.documents import mapping, mappings, read_json, write_json
from proxy.dialects.openai import question
from proxy.errors import Failure
from proxy.messages import Answer, Head, Operation, Request, WireRequest

TOKENS = 16
"""At most this many are bought by a paid check."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One question to one endpoint of a provider."""

    wire: WireRequest
    request: Request | None = None
    """The completion that is asked for; None for a question that costs nothing."""

    @property
    def proves_key(self) -> bool:
        """Whether a good answer proves the key, too: it is sent only where it is looked at."""
        return "authorization" in self.wire.headers


def check_of(dialect: Dialect, provider: Provider, capability: str) -> Check | Failure | None:
    """Write the check of the endpoint that serves `capability`; None when there is nothing to ask it for free."""
    settings = provider.health
    if settings.path:
        root = urlsplit(provider.endpoint(capability))
        return Check(wire=question(provider, f"{root.scheme}://{root.netloc}", settings.path))
    if settings.allow_cost and capability == "chat":
        model = settings.model or provider.models["default"]
        request = _hello(model)
        wire = dialect.encode(request, provider, model)
        return wire if isinstance(wire, Failure) else Check(wire=wire, request=request)
    free = dialect.check(provider, capability)
    return Check(wire=free) if free else None


def judge_check(dialect: Dialect, provider: Provider, check: Check, head: Head, body: bytes) -> Failure | None:
    """Judge the complete answer to a check; None when it proves the provider alive."""
    if check.request is not None:
        if head.status >= 300:
            return dialect.failure(head, body)
        answer = dialect.decode(check.request, check.wire, head, body)
        return answer if isinstance(answer, Failure) else _silence(answer)
    expect = provider.health.expect
    as_expected = head.status == expect.status if expect.status else head.status < 300
    if not as_expected:
        return dialect.failure(head, body) if head.status >= 300 else soft(f"the answer's status is {head.status}")
    if expect.contains.encode() not in body:
        return soft("the answer does not hold what is expected of it")
    if provider.health.path or expect != Expectation():
        return None
    return dialect.healthy(head, body)


def _silence(answer: Answer) -> Failure | None:
    """An answer that was cut short before it said anything passes for a client, but proves nothing here."""
    choices = mappings(mapping(read_json(answer.body)).get("choices"))
    if answer.facts.output_tokens or any(speaks(choice) for choice in choices):
        return None
    return soft("the completion holds no output")


def _hello(model: str) -> Request:
    document = {
        "model": model,
        "messages": [{"role": "user", "content": "Say hello."}],
        "max_tokens": TOKENS,
    }
    return Request(
        id="check",
        operation=Operation.CHAT,
        path="/v1/chat/completions",
        body=write_json(document),
        document=MappingProxyType(document),
        model=model,
    )
