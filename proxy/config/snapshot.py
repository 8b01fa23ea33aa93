"""The whole configuration as frozen data: what every decision reads and nothing changes.

Durations are float seconds, sizes int bytes, ratios 0-1, rates requests per second of a period; only `config.units`
knows other spellings. The defaults are the documented defaults of the YAML keys of the same name. Everybody imports
settings from here; they stand in `policy`, `provider` and `server`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from proxy.config.policy import (
    EMPTY,
    Backoff,
    BreakerSettings,
    Cache,
    DegradeStep,
    ErrorRule,
    HealthSettings,
    Hedge,
    Policy,
    Quantile,
    Recovery,
    RetryBudget,
    RetrySettings,
    StaleCache,
    StrategyName,
    Streaming,
    Timeouts,
)
from proxy.config.provider import Concurrency, Expectation, Provider, ProviderHealth, Rate, Tls
from proxy.config.server import Address, Admin, Drain, Limits, Server, Telemetry, Traces

__all__ = [
    "EMPTY",
    "Address",
    "Admin",
    "Backoff",
    "BreakerSettings",
    "Cache",
    "Concurrency",
    "DegradeStep",
    "Drain",
    "ErrorRule",
    "Expectation",
    "HealthSettings",
    "Hedge",
    "Limits",
    "Match",
    "Policy",
    "Provider",
    "ProviderHealth",
    "Quantile",
    "Rate",
    "Recovery",
    "RetryBudget",
    "RetrySettings",
    "Route",
    "Server",
    "Snapshot",
    "StaleCache",
    "StrategyName",
    "Streaming",
    "Telemetry",
    "Timeouts",
    "Tls",
    "Traces",
]


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
