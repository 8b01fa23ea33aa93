"""Settings of a policy: how a route behaves, everything that is tuned without touching code.

Units and defaults as in `proxy.config.snapshot`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from proxy.errors import ErrorClass

EMPTY: Mapping[str, Any] = MappingProxyType({})


class StrategyName(StrEnum):
    """How a route orders its candidates."""

    PRIMARY_ONLY = "primary_only"
    ROUND_ROBIN = "round_robin"
    WEIGHTED_ROUND_ROBIN = "weighted_round_robin"
    BEST_PERFORMANCE = "best_performance"
    RANDOM_AVAILABLE = "random_available"


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
    route: str | None = None
    """Ask the providers of this route, under this policy."""
    static: str | None = None
    """Answer with this text, in the endpoint's own shape."""

    @property
    def kind(self) -> str:
        """The name of the field that is set."""
        return next(name for name in ("stale_cache", "model", "route", "static") if getattr(self, name) is not None)

    @property
    def asks(self) -> bool:
        """Whether it makes upstream calls of its own."""
        return self.model is not None or self.route is not None


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
