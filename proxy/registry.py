"""What sidestep knows about providers and routes while it runs.

The only state that outlives a request or a reload. It is keyed by what is dialled (name, dialect, endpoint, key), so a
reload that leaves these alone keeps breaker, window and cool-downs. Methods are synchronous: no await, no lock.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from proxy.config.secrets import Secret
from proxy.config.snapshot import BreakerSettings, Provider, Snapshot
from proxy.resilience.breaker import Breaker
from proxy.resilience.budget import Budget
from proxy.resilience.concurrency import Places
from proxy.resilience.cooldown import CoolDown
from proxy.resilience.health import Health
from proxy.resilience.limiter import Limiter
from proxy.resilience.load import Load
from proxy.resilience.store import Store
from proxy.resilience.window import Performance, Window
from proxy.routing.overrides import Overrides
from proxy.routing.strategies import Rotation

UNSUPPORTED_FOR = 600.0
"""Seconds for which a provider's "no such model" is remembered."""
UNSUPPORTED_MODELS = 1000
"""Models remembered per provider; the oldest goes first."""

MEASURED_MODELS = 100
"""Models measured per provider; the oldest goes first."""
LEAST_USEFUL = 0.05
"""Seconds that any attempt needs."""
MODEL_REQUESTS = 5
"""Attempts from which on a model's own past counts, and not the provider's."""

Identity = tuple[str, str, str, Secret | None]


@dataclass(slots=True)
class ProviderState:
    """One provider at one endpoint: its breaker, its recent past, and what it told us to wait for."""

    name: str
    breaker: Breaker = field(default_factory=Breaker)
    window: Window = field(default_factory=Window)
    models: dict[str, Window] = field(default_factory=dict)
    """The same by the provider's model name: a small model's pace says little of a large one's."""
    cool_down: CoolDown = field(default_factory=CoolDown)
    health: Health = field(default_factory=Health)
    places: Places = field(default_factory=Places)
    limiters: dict[str, Limiter] = field(default_factory=dict)
    """By capability."""
    unsupported: dict[str, float] = field(default_factory=dict)
    """The provider's model name -> monotonic time until which it is not asked for it."""
    in_flight: int = 0
    refusals: int = 0
    """429s in a row; each doubles the patience when the provider names no time of its own."""
    usage_count: int = 0
    """Answers it gave."""
    last_error: str = ""

    def recovered_at(self) -> float | None:
        """Monotonic time at which it was last given back to traffic, by its breaker or by its checks; None: never."""
        by_breaker, by_checks = self.breaker.recovered_at, self.health.recovered_at
        if by_breaker is None or by_checks is None:
            return by_checks if by_breaker is None else by_breaker
        return max(by_breaker, by_checks)

    def record(self, model: str, now: float, *, ok: bool, duration: float, first_output: float | None) -> None:
        """Note how an attempt ended, for the provider and for the model; seconds."""
        self.window.record(now, ok=ok, duration=duration, first_output=first_output)
        window = self.models.get(model)
        if window is None:
            while len(self.models) >= MEASURED_MODELS:
                del self.models[next(iter(self.models))]
            window = self.models[model] = Window()
        window.record(now, ok=ok, duration=duration, first_output=first_output)

    def performance(self, model: str, now: float) -> Performance:
        """How this model did lately; before it has been asked often enough, how the provider did."""
        window = self.models.get(model)
        if window is not None:
            seen = window.performance(now)
            if seen.requests >= MODEL_REQUESTS:
                return seen
        return self.window.performance(now)

    def useful_time(self, model: str, now: float) -> float:
        """Seconds below which another attempt is not worth its bill: half of what the first output usually takes."""
        seen = self.performance(model, now)
        usual = seen.first_output_p50 if seen.first_output_p50 is not None else seen.p50
        return LEAST_USEFUL if usual is None or seen.requests < MODEL_REQUESTS else max(LEAST_USEFUL, usual / 2)

    def limiter(self, capability: str) -> Limiter:
        """The limiter of one capability."""
        return self.limiters.setdefault(capability, Limiter())

    def remember_unsupported(self, model: str, now: float) -> None:
        """Do not ask for this model again for a while."""
        self.unsupported[model] = now + UNSUPPORTED_FOR
        while len(self.unsupported) > UNSUPPORTED_MODELS:
            del self.unsupported[next(iter(self.unsupported))]

    def lacks(self, model: str, now: float) -> bool:
        """Whether it said, not long ago, that it has no such model."""
        until = self.unsupported.get(model)
        if until is None:
            return False
        if until <= now:
            del self.unsupported[model]
            return False
        return True


@dataclass(slots=True)
class RouteState:
    """What a route shares between its requests."""

    rotation: Rotation = field(default_factory=Rotation)
    budget: Budget = field(default_factory=Budget)
    answers: Store = field(default_factory=Store)
    last_chance_at: float = float("-inf")
    """When a request was last let through although every candidate was open."""


class Registry:
    """Finds the state of a provider or route, and decides who may keep it over a reload."""

    def __init__(self) -> None:
        self._providers: dict[Identity, ProviderState] = {}
        self._routes: dict[str, RouteState] = {}
        self.in_flight = 0
        """Requests being answered right now, over all routes."""
        self.load = Load()
        """How this process bears up."""
        self.overrides = Overrides()
        """What the operator changed by hand."""

    def adopt(self, snapshot: Snapshot) -> None:
        """Keep the state of every identity that the snapshot still holds, make it for new ones, forget the rest."""
        wanted = {
            identity(provider, capability): provider.name
            for provider in snapshot.providers.values()
            for capability in provider.supports - {"tools"}
        }
        self._providers = {key: self._providers.get(key) or ProviderState(name) for key, name in wanted.items()}
        self._routes = {route.name: self._routes.get(route.name) or RouteState() for route in snapshot.routes}
        for route in snapshot.routes:
            if snapshot.policies[route.policy].cache is None:
                self._routes[route.name].answers.clear()
        self.overrides.adopt(snapshot)

    def provider(self, provider: Provider, capability: str) -> ProviderState:
        """The state behind this provider for this capability (made anew for a generation that was replaced)."""
        key = identity(provider, capability)
        state = self._providers.get(key)
        return state if state is not None else self._providers.setdefault(key, ProviderState(provider.name))

    def route(self, name: str) -> RouteState:
        """The state of a route."""
        state = self._routes.get(name)
        return state if state is not None else self._routes.setdefault(name, RouteState())

    def states(self) -> Iterable[ProviderState]:
        """Every provider state, for status and metrics."""
        return tuple(self._providers.values())


def identity(provider: Provider, capability: str) -> Identity:
    """What makes two settings the same provider at runtime."""
    return (provider.name, provider.dialect, provider.endpoint(capability), provider.api_key)


def breaker_settings(provider: Provider, policy: BreakerSettings) -> BreakerSettings:
    """The policy's breaker with the provider's own fields on top."""
    if not provider.breaker:
        return policy
    fields = {name: getattr(policy, name) for name in policy.__dataclass_fields__}
    return BreakerSettings(**{**fields, **provider.breaker})
