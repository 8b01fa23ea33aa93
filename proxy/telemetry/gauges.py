"""What is true at this moment, read when Prometheus asks: breakers, health, cool-downs, what is in flight."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

BREAKER_STATES = ("closed", "open", "half_open")
HEALTH = ("healthy", "degraded", "unhealthy", "unknown", "disabled")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderGauge:
    """One provider as it stands now."""

    provider: str
    breaker_state: str = "closed"
    """`closed`, `open` or `half_open`."""
    health: str = "unknown"
    """`healthy`, `degraded`, `unhealthy`, `unknown` or `disabled`."""
    in_flight: int = 0
    """Upstream calls under way."""
    queued: int = 0
    """Calls waiting for a place among them."""
    cooldown_seconds: float = 0.0
    """Until it may be asked again; 0 when it may."""
    enabled: bool = True
    configured: bool = True
    """Whether it has the key that it needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The whole sidecar as it stands now."""

    generation: str = ""
    in_flight: int = 0
    """Requests of clients under way."""
    providers: Iterable[ProviderGauge] = ()
    retry_budgets: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """Route -> retries that its budget would grant right now."""
    lag: float = 0.0
    """Seconds that the event loop was late at worst within the last second."""
    memory: float = 0.0
    """Share of the container's memory limit in use; 0 when there is none."""
    refused: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """Reason -> requests refused for overload so far."""
    spans_dropped: int = 0
    log_lines_dropped: int = 0


class StateCollector(Collector):
    """Turns a fresh `Reading` into metric families at every scrape."""

    def __init__(self, read: Callable[[], Reading], version: str) -> None:
        self._read = read
        self._version = version

    def describe(self) -> Iterator[Metric]:
        """Name the families without reading anything: what is not running yet has no state."""
        return self._families(Reading())

    def collect(self) -> Iterator[Metric]:
        """Read once, then tell."""
        return self._families(self._read())

    def _families(self, now: Reading) -> Iterator[Metric]:
        yield _info("sidestep_build_info", "The version that is running.", "version", self._version)
        yield _info("sidestep_generation_info", "The configuration in force.", "generation", now.generation)
        yield GaugeMetricFamily("sidestep_requests_in_flight", "Requests of clients under way.", value=now.in_flight)
        budget = GaugeMetricFamily(
            "sidestep_retry_budget_remaining", "Retries that a route's budget would grant now.", labels=["route"]
        )
        for route, remaining in now.retry_budgets.items():
            budget.add_metric([route], remaining)
        yield budget
        yield GaugeMetricFamily(
            "sidestep_loop_lag_seconds", "How late the event loop was at worst within the last second.", value=now.lag
        )
        yield GaugeMetricFamily(
            "sidestep_memory_ratio", "Share of the container's memory limit in use; 0 without one.", value=now.memory
        )
        refused = CounterMetricFamily(
            "sidestep_overload_refusals", "Requests refused because sidestep itself was overloaded.", labels=["reason"]
        )
        for reason, count in now.refused.items():
            refused.add_metric([reason], count)
        yield refused
        yield CounterMetricFamily(
            "sidestep_spans_dropped", "Spans that never reached a collector.", value=now.spans_dropped
        )
        yield CounterMetricFamily(
            "sidestep_log_lines_dropped", "Log lines that nobody took in time.", value=now.log_lines_dropped
        )
        yield from _providers(list(now.providers))


def _providers(providers: list[ProviderGauge]) -> Iterator[Metric]:
    breaker = GaugeMetricFamily(
        "sidestep_breaker_state", "1 for the state that a provider's breaker is in.", labels=["provider", "state"]
    )
    health = GaugeMetricFamily(
        "sidestep_provider_health", "1 for the health that a provider is in.", labels=["provider", "status"]
    )
    for each in providers:
        for state in BREAKER_STATES:
            breaker.add_metric([each.provider, state], float(each.breaker_state == state))
        for status in HEALTH:
            health.add_metric([each.provider, status], float(each.health == status))
    yield breaker
    yield health
    yield _gauge("sidestep_provider_in_flight", "Upstream calls under way.", providers, "in_flight")
    yield _gauge("sidestep_provider_queued", "Calls waiting for a place at it.", providers, "queued")
    yield _gauge(
        "sidestep_provider_cooldown_seconds", "Seconds until it may be asked again.", providers, "cooldown_seconds"
    )
    yield _gauge("sidestep_provider_enabled", "Whether the operator lets it be asked.", providers, "enabled")
    yield _gauge("sidestep_provider_configured", "Whether it has the key that it needs.", providers, "configured")


def _gauge(name: str, documentation: str, providers: list[ProviderGauge], attribute: str) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, documentation, labels=["provider"])
    for each in providers:
        family.add_metric([each.provider], float(getattr(each, attribute)))
    return family


def _info(name: str, documentation: str, label: str, value: str) -> GaugeMetricFamily:
    """Make a gauge that is always 1 and tells something in its label, by Prometheus' convention."""
    family = GaugeMetricFamily(name, documentation, labels=[label])
    family.add_metric([value], 1.0)
    return family
