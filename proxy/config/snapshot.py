"""The whole configuration as frozen data: what every decision reads and nothing changes.

Durations are float seconds, sizes int bytes, ratios 0-1, rates requests per second of a period; only `config.units`
knows other spellings. The defaults here are the documented defaults of the YAML keys of the same name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from proxy.config.secrets import Secret
from proxy.errors import ErrorClass

EMPTY: Mapping[str, Any] = MappingProxyType({})


class StrategyName(StrEnum):
    """How a route orders its candidates."""

    PRIMARY_ONLY = "primary_only"
    ROUND_ROBIN = "round_robin"
    WEIGHTED_ROUND_ROBIN = "weighted_round_robin"
    BEST_PERFORMANCE = "best_performance"
    RANDOM_AVAILABLE = "random_available"


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen. Port 0 asks the system for a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


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
class BreakerSettings:
    """When a provider is left alone, and for how long."""

    failures: int = 3
    """Consecutive failures that open it."""
    ratio: float = 0.5
    """Share of failed attempts within `window` that opens it."""
    min_requests: int = 10
    """Attempts that `window` must hold before `ratio` counts."""
    window: float = 60.0
    """Seconds that the ratio rule looks back."""
    open_for: float = 30.0
    """Seconds it stays open the first time; doubles with every failed probe, with jitter."""
    max_open_for: float = 300.0
    """Upper bound of that growth, seconds."""
    half_open: int = 1
    """Live requests allowed through at a time while it is half open; as many successes close it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """The clocks of one request, seconds."""

    connect: float = 5.0
    first_output: float = 30.0
    """From the start of an attempt to its first real output (for a plain answer: its whole body)."""
    idle: float = 60.0
    """Longest pause between two pieces of real output in a stream."""
    total: float = 600.0
    """The whole request, all attempts and waits included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Waits between repeats on the same provider: `min(max, base * 2**n)`, times a uniform draw when jitter is full."""

    base: float = 0.25
    max: float = 5.0
    jitter: str = "full"
    """`full` or `none`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryBudget:
    """Extra attempts per route: at most `ratio` of the last 10 s' requests, and never fewer than `min` per second."""

    ratio: float = 0.2
    min: float = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrySettings:
    """Repeats: how long between them, how many in all, and what may be repeated."""

    backoff: Backoff = field(default_factory=Backoff)
    budget: RetryBudget = field(default_factory=RetryBudget)
    retry_after_max: float = 120.0
    """The longest `Retry-After` that is believed, seconds."""
    replay: str = "auto"
    """Whether a request whose fate is unknown (fully sent, no answer) may go to another provider:
    `auto` (all but images), `always`, `never`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSettings:
    """When a provider is checked, and how much evidence it takes to think otherwise of it."""

    interval: float = 60.0
    """Seconds between two checks, give or take a tenth (a quarter of it while in trouble); 0 checks only when told."""
    timeout: float = 5.0
    """Seconds that one check may take."""
    unhealthy_after: int = 3
    """Failures in a row, of checks and live traffic, that make it unhealthy."""
    healthy_after: int = 2
    """Successes in a row that make it healthy again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """How a provider gets its traffic back after its breaker closed."""

    ramp: float = 60.0
    """Seconds over which its share grows to full; 0 gives everything back at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Streaming:
    """What happens around the first output and after it."""

    hold_back: int = 64 * 1024
    """Bytes of preamble (role chunks, comments) held back while another candidate remains."""
    keepalive: float = 0.0
    """Seconds of silence after which a comment is sent to the client, between events only; 0 sends none."""
    on_break: str = "error"
    """`error`: an error frame, then the end. `abort`: the frame, then the connection is reset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRule:
    """A policy's change to one line of the class table; None keeps the default."""

    same_provider: bool | None = None
    other_provider: bool | None = None
    breaker: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """Good complete answers that are given again to the very same question, route by route."""

    ttl: float
    """Seconds for which an answer is given again; 0 shares answers among simultaneous requests only."""
    max_entries: int = 1000
    """Answers kept per route; those not asked for longest go first."""
    max_bytes: int = 64 * 1024 * 1024
    """Bytes kept per route, in the same way."""


class Quantile(StrEnum):
    """A provider's own times to the first output, of the last minutes."""

    P50 = "p50"
    P95 = "p95"
    P99 = "p99"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hedge:
    """When a second provider is asked although the first may still answer."""

    delay: float | Quantile
    """Seconds without output, or which of the provider's own times has to pass."""
    tools: bool = False
    """Whether requests that offer tools are hedged too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleCache:
    """Answers from the cache that are too old for every day."""

    max_age: float
    """Seconds since the answer was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DegradeStep:
    """One thing to answer with when every provider failed. Exactly one field is set."""

    stale_cache: StaleCache | None = None
    """Answer with what the same question was last answered with; needs the policy's `cache`."""
    model: str | None = None
    """Ask the same route's providers again, for this model."""
    static: str | None = None
    """Answer with this text, in the endpoint's own shape."""

    @property
    def kind(self) -> str:
        """The name of the field that is set."""
        return "stale_cache" if self.stale_cache else "model" if self.model is not None else "static"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How a route behaves: everything that is tuned without touching code."""

    name: str
    strategy: StrategyName = StrategyName.PRIMARY_ONLY
    attempts: int = 4
    """Upstream calls of all kinds, over all providers, per request."""
    timeouts: Timeouts = field(default_factory=Timeouts)
    retry: RetrySettings = field(default_factory=RetrySettings)
    breaker: BreakerSettings = field(default_factory=BreakerSettings)
    health: HealthSettings = field(default_factory=HealthSettings)
    recovery: Recovery = field(default_factory=Recovery)
    streaming: Streaming = field(default_factory=Streaming)
    errors: Mapping[ErrorClass, ErrorRule] = field(default_factory=lambda: MappingProxyType({}))
    degrade: tuple[DegradeStep, ...] = ()
    cache: Cache | None = None
    """None: every request is answered by a provider."""
    hedge: Hedge | None = None
    """None: one provider is asked at a time."""

    @property
    def stale_for(self) -> float:
        """Seconds for which an answer may be of use to a degradation; 0 when none looks for it."""
        return max((step.stale_cache.max_age for step in self.degrade if step.stale_cache), default=0.0)


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
        names = self.image_models if capability == "images" else self.models
        if not names:
            return model
        return names.get(model) or names.get("default")

    def endpoint(self, capability: str) -> str:
        """The URL root that serves a capability; runtime state is kept per (name, endpoint)."""
        if self.dialect == "pollinations":
            return self.image_url if capability == "images" else self.text_url
        return self.base_url


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Which requests a route takes; every given condition must hold."""

    path: str
    """Exact raw path."""
    method: str = "POST"
    model: str = "*"
    """Shell-style pattern (`*`, `?`, `[..]`), case-sensitive."""
    headers: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    """Lower-case name -> exact value."""
    stream: bool | None = None
    tools: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A match, the providers that may answer, and the policy that governs how."""

    name: str
    match: Match
    providers: tuple[str, ...]
    policy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one client, and all of them together, may ask of the data listener."""

    body: int = 25 * 1024 * 1024
    header_time: float = 10.0
    """Seconds from the first byte of a request to the end of its headers."""
    body_time: float = 30.0
    """Seconds for the whole body."""
    write_time: float = 60.0
    """Seconds that a client may take nothing of its answer before it is cut off."""
    connections: int = 10_000
    in_flight: int = 1_000
    lag: float = 1.0
    """Seconds that the event loop may keep running behind before new requests are refused; 0 looks away."""
    memory: float = 0.95
    """Share of the container's memory limit from which on new requests are refused; 0 looks away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """What SIGTERM does."""

    delay: float = 5.0
    """Seconds of answering 503 on /readyz while still accepting."""
    timeout: float = 600.0
    """Seconds that running requests get to finish."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admin:
    """The operator's listener."""

    listen: Address = Address("127.0.0.1", 8081)
    token: Secret | None = None
    hosts: tuple[str, ...] = ()
    """Names by which it may be reached besides loopback and the address that it listens on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The app's listener."""

    listen: Address = Address("127.0.0.1", 8080)
    admin: Admin = field(default_factory=Admin)
    client_keys: tuple[Secret, ...] = ()
    limits: Limits = field(default_factory=Limits)
    drain: Drain = field(default_factory=Drain)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """Where spans go."""

    exporter: str = "otlp"
    """`otlp` or `none`."""
    endpoint: str = ""
    """`http://host:4317` (grpc) or `http://host:4318` (http); empty exports nothing."""
    protocol: str = "grpc"
    """`grpc` or `http`."""
    sample: float = 1.0
    """Share of requests kept when the caller sent no sampling decision."""
    always_keep: frozenset[str] = frozenset({"errors", "failovers"})
    """Traces kept in full however the dice fell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """What is told to the world about requests."""

    service_name: str = "sidestep"
    traces: Traces = field(default_factory=Traces)
    content: bool = False
    """Whether prompts and answers are recorded on spans; one switch for every sink."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One generation of the configuration."""

    generation: str
    """Identifier: 12 hex digits over the text of the files."""
    server: Server
    telemetry: Telemetry
    providers: Mapping[str, Provider]
    routes: tuple[Route, ...]
    policies: Mapping[str, Policy]
    files: tuple[str, ...] = ()
    """The files that it was read from."""
    written: Mapping[tuple[str | int, ...], str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    """Path of every value that a file gives -> `file:line`."""
