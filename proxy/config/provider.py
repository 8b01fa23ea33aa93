"""Settings of a provider: where it is, how it speaks, what it can do and how it is treated.

Units and defaults as in `proxy.config.snapshot`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from proxy.config.policy import EMPTY, HealthSettings
from proxy.config.secrets import Secret


@dataclass(frozen=True, slots=True)
class Rate:
    """`20/min`: at most `count` requests in any `period` seconds."""

    count: int
    period: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Concurrency:
    """How many calls a provider gets at the same time."""

    max: int
    """Calls under way, streams until their end, at each of the provider's endpoints."""
    queue: int = 16
    """Calls that may wait for a place while no other provider can answer; 0 lets none wait."""
    wait: float = 0.5
    """Seconds that a call waits at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Verification and identity towards one provider."""

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What the answer to a check must be."""

    status: int | None = None
    """The exact status; None takes any 2xx."""
    contains: str = ""
    """Text that must stand in the body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderHealth(HealthSettings):
    """The clocks of the strictest policy that the provider is used with, its own on top; and what a check asks."""

    path: str = ""
    """Asked by GET instead of what the dialect asks; begins with `/`, at the root of the provider's host."""
    expect: Expectation = field(default_factory=Expectation)
    allow_cost: bool = False
    """Whether a check is a chat completion of a few tokens, which may be billed."""
    model: str = ""
    """The provider's name of the model that `allow_cost` asks; empty: what `models` call `default`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One upstream account: where it is, how it speaks, what it can do and how it is treated."""

    name: str
    dialect: str
    """`openai`, `openrouter` or `pollinations`."""
    base_url: str = ""
    """OpenAI-style root, without a trailing slash (`https://host/v1`); empty for `pollinations`."""
    text_url: str = ""
    """`pollinations` only: the full URL that chat completions are posted to."""
    image_url: str = ""
    """`pollinations` only: the prefix that a quoted prompt is appended to; ends with a slash."""
    api_key: Secret | None = None
    auth: str = "required"
    """`required` or `optional`; with `required` and no key the provider is `unconfigured` and gets no traffic."""
    enabled: bool = True
    priority: int = 100
    """Lower comes first."""
    weight: float = 1.0
    timeout: float | None = None
    """Seconds to the first output; wins over the policy's `timeouts.first_output`, but not for images: they take longer
    than any chat's first word, and their policy knows how long."""
    retries: int = 0
    """Repeats on this provider within one request."""
    breaker: Mapping[str, Any] = field(default_factory=lambda: EMPTY)
    """Fields of `BreakerSettings` that win over the policy's."""
    health: ProviderHealth = field(default_factory=ProviderHealth)
    rate_limit: Mapping[str, Rate] = field(default_factory=lambda: EMPTY)
    """By capability (`chat`, `images`, ...)."""
    concurrency: Concurrency | None = None
    """None: as many calls at a time as there are requests."""
    supports: frozenset[str] = frozenset({"chat"})
    """Capabilities: chat, tools, images, completions, embeddings, responses, audio, moderations."""
    models: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    """Client model name -> this provider's name; `default` answers any other. Empty: names pass unchanged."""
    image_models: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    """The same for `/v1/images/generations`, where the names are others."""
    context_window: int | None = None
    """Tokens, when declared."""
    stream_usage: bool = True
    """Whether to ask for token usage in streams (`stream_options.include_usage`)."""
    headers: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    """Fixed headers added to every call."""
    tls: Tls = field(default_factory=Tls)

    @property
    def configured(self) -> bool:
        """Whether it has the key that it needs."""
        return self.auth == "optional" or bool(self.api_key)

    def upstream_model(self, model: str, capability: str) -> str | None:
        """This provider's name for a client's model name, or None when it serves no such model."""
        return renamed(self.model_names(capability), model)

    def model_names(self, capability: str) -> Mapping[str, str]:
        """Client model name -> this provider's name, for a capability; empty: names pass unchanged."""
        return self.image_models if capability == "images" else self.models

    def endpoint(self, capability: str) -> str:
        """The URL root that serves a capability; runtime state is kept per (name, endpoint)."""
        if self.dialect == "pollinations":
            return self.image_url if capability == "images" else self.text_url
        return self.base_url


def renamed(names: Mapping[str, str], model: str) -> str | None:
    """A client's model name by a provider's own names; None when they have none for it."""
    return (names.get(model) or names.get("default")) if names else model
