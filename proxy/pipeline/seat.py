"""A provider as the requests of one route see it: what none of them changes, looked up once in a generation."""

from collections.abc import Mapping
from dataclasses import dataclass

from proxy.config.snapshot import BreakerSettings, Policy, Provider, Rate, Route
from proxy.registry import ProviderState, Registry, breaker_settings
from proxy.resilience.limiter import Limiter
from proxy.routing.candidates import Candidate, serves


@dataclass(slots=True, kw_only=True)
class Seat:
    """One provider of a route, for one capability, under one policy."""

    provider: Provider
    state: ProviderState
    breaker: BreakerSettings
    """The policy's, with the provider's own fields on top."""
    rate: Rate | None
    """Our own limit, if there is one."""
    limiter: Limiter
    configured: bool
    """Whether it has the key that it needs."""
    serves: bool
    """Whether its configuration covers the capability."""
    serves_tools: bool
    """Whether it does for requests that offer tools."""
    candidate: Candidate
    """What it stands as before a strategy that does not measure, unless it is recovering."""
    names: Mapping[str, str]
    """Client model name -> this provider's name; empty: names pass unchanged."""
    endpoint: str
    """The URL root that serves the capability."""


class Seating:
    """Finds the seats of a route. Lives as long as its generation, whose providers and policy it knows."""

    def __init__(self, providers: Mapping[str, Provider], policy: Policy, registry: Registry) -> None:
        self._providers = providers
        self._policy = policy
        self._registry = registry
        self._rows: dict[tuple[str, str], dict[str, Seat]] = {}

    def row(self, route: Route, capability: str) -> Mapping[str, Seat]:
        """One seat for each provider of the route, in its order, by the provider's name."""
        found = self._rows.get((route.name, capability))
        if found is None:
            found = {name: self._seat(self._providers[name], capability) for name in route.providers}
            self._rows[route.name, capability] = found
        return found

    def _seat(self, provider: Provider, capability: str) -> Seat:
        state = self._registry.provider(provider, capability)
        return Seat(
            provider=provider,
            state=state,
            breaker=breaker_settings(provider, self._policy.breaker),
            rate=provider.rate_limit.get(capability),
            limiter=state.limiter(capability),
            configured=provider.configured,
            serves=serves(provider, capability),
            serves_tools=serves(provider, capability, tools=True),
            candidate=Candidate(provider.name, provider.priority, provider.weight, 1.0),
            names=provider.model_names(capability),
            endpoint=provider.endpoint(capability),
        )
