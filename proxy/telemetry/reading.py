"""The state of the sidecar, read from the registry for one scrape."""

from collections.abc import Sequence

from proxy.config.snapshot import Provider, Snapshot
from proxy.registry import ProviderState, Registry
from proxy.resilience.breaker import State
from proxy.resilience.health import Status
from proxy.telemetry.gauges import ProviderGauge, Reading

SEVERITY = (State.CLOSED, State.HALF_OPEN, State.OPEN)
"""A provider with several endpoints is as badly off as the worst of them."""

GRAVITY = (Status.UNKNOWN, Status.HEALTHY, Status.DEGRADED, Status.UNHEALTHY)
"""The same for health; one endpoint that is known to work speaks for one that nobody asked yet."""


def reading(
    registry: Registry, snapshot: Snapshot, now: float, *, spans_dropped: int, log_lines_dropped: int
) -> Reading:
    """Read everything once. `now` is monotonic seconds."""
    by_name: dict[str, list[ProviderState]] = {}
    for state in registry.states():
        by_name.setdefault(state.name, []).append(state)
    budgets = {
        route.name: float(
            registry.route(route.name).budget.remaining(now, snapshot.policies[route.policy].retry.budget)
        )
        for route in snapshot.routes
    }
    return Reading(
        generation=snapshot.generation,
        in_flight=registry.in_flight,
        lag=registry.load.lag(now),
        memory=registry.load.memory,
        refused={reason.value: count for reason, count in registry.load.refused.items()},
        providers=[
            gauge(each, by_name.get(each.name, []), now, enabled=registry.overrides.allows(each))
            for each in snapshot.providers.values()
        ],
        retry_budgets=budgets,
        spans_dropped=spans_dropped,
        log_lines_dropped=log_lines_dropped,
    )


def gauge(provider: Provider, states: Sequence[ProviderState], now: float, *, enabled: bool) -> ProviderGauge:
    """Sum up one provider over its endpoints."""
    cooldown = max((state.cool_down.remaining(now) for state in states), default=0.0)
    breaker = max((state.breaker.state(now) for state in states), key=SEVERITY.index, default=State.CLOSED)
    troubled = cooldown > 0 or any(state.breaker.failure_count for state in states)
    return ProviderGauge(
        provider=provider.name,
        breaker_state=breaker.value,
        health=health(
            breaker,
            enabled=enabled,
            troubled=troubled,
            proven=any(state.usage_count for state in states),
            evidence=evidence(states),
        ),
        in_flight=sum(state.in_flight for state in states),
        queued=sum(state.places.waiting for state in states),
        cooldown_seconds=cooldown,
        enabled=enabled,
        configured=provider.configured,
    )


def evidence(states: Sequence[ProviderState]) -> Status:
    """What checks and live traffic say of the endpoints, the worst word first."""
    return max((state.health.status for state in states), key=GRAVITY.index, default=Status.UNKNOWN)


def health(breaker: State, *, enabled: bool, troubled: bool, proven: bool, evidence: Status = Status.UNKNOWN) -> str:
    """Sum up a provider's health; `unknown` before it has answered anybody, a check included."""
    if not enabled:
        return "disabled"
    if breaker is State.OPEN or evidence is Status.UNHEALTHY:
        return "unhealthy"
    if breaker is State.HALF_OPEN or troubled or evidence is Status.DEGRADED:
        return "degraded"
    return "healthy" if proven or evidence is Status.HEALTHY else "unknown"
