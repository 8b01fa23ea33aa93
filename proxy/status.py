"""What a running sidecar knows about its providers and routes, as one JSON document. Reads everything, changes nothing.

Times are epoch seconds, durations seconds, rates 0-1. A provider that is dialled at several endpoints (Pollinations:
text and images) is as badly off as the worst of them; each of them is listed when there is more than one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from proxy.config.snapshot import Provider, Route, Snapshot
from proxy.registry import ProviderState, Registry
from proxy.resilience.breaker import State
from proxy.resilience.window import Window
from proxy.statistics import Pace, Statistics
from proxy.telemetry.reading import GRAVITY, SEVERITY, gauge


@dataclass(frozen=True, slots=True)
class Moment:
    """One instant on both clocks."""

    now: float
    """Monotonic seconds."""
    wall: float
    """Epoch seconds."""

    def epoch(self, monotonic: float) -> float:
        """The same instant for people."""
        return self.wall + monotonic - self.now


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One URL of a provider, and what is known of it."""

    url: str
    capabilities: tuple[str, ...]
    state: ProviderState


def status_document(registry: Registry, snapshot: Snapshot, statistics: Statistics, at: Moment) -> dict[str, Any]:
    """Everything at once: `generation`, `in_flight`, `statistics`, and `providers` and `routes` as maps by name."""
    return {
        "generation": snapshot.generation,
        "in_flight": registry.in_flight,
        "statistics": statistics_document(statistics, snapshot),
        "providers": {
            provider.name: provider_status(provider, registry, statistics, at)
            for provider in snapshot.providers.values()
        },
        "routes": {route.name: route_status(route, registry, snapshot, at) for route in snapshot.routes},
    }


def statistics_document(statistics: Statistics, snapshot: Snapshot) -> dict[str, Any]:
    """The counts, with every provider named, those of no use yet included."""
    document = statistics.document()
    document["provider_usage"] = dict.fromkeys(snapshot.providers, 0) | document["provider_usage"]
    return document


def provider_status(provider: Provider, registry: Registry, statistics: Statistics, at: Moment) -> dict[str, Any]:
    """One provider, over all its endpoints."""
    endpoints = endpoints_of(provider, registry)
    states = [each.state for each in endpoints]
    enabled = registry.overrides.allows(provider)
    document: dict[str, Any] = {
        "enabled": enabled,
        "overridden": provider.name in registry.overrides.enabled,
        "configured_enabled": provider.enabled,
        "configured": provider.configured,
        "dialect": provider.dialect,
        "priority": provider.priority,
        "weight": provider.weight,
        "supports": sorted(provider.supports),
        "usage_count": statistics.usage[provider.name],
        "rate_limit": _rate_limits(provider, registry, at.now),
    }
    document |= _condition(provider, states, at, enabled=enabled)
    document["performance"]["tokens_per_second"] = statistics.paces.get(provider.name, Pace()).tokens_per_second
    document["models"] = {
        model: _performance([window], at.now) for state in states for model, window in tuple(state.models.items())
    }
    if len(endpoints) > 1:
        document["endpoints"] = [
            {"url": each.url, "capabilities": list(each.capabilities)}
            | _condition(provider, [each.state], at, enabled=enabled)
            for each in endpoints
        ]
    return document


def route_status(route: Route, registry: Registry, snapshot: Snapshot, at: Moment) -> dict[str, Any]:
    """One route: what it takes, whom it asks and how."""
    policy = snapshot.policies[route.policy]
    return {
        "path": route.match.path,
        "model": route.match.model,
        "providers": list(route.providers),
        "policy": route.policy,
        "strategy": registry.overrides.policy(route, policy).strategy.value,
        "overridden": route.name in registry.overrides.strategies,
        "configured_strategy": policy.strategy.value,
        "retry_budget": registry.route(route.name).budget.remaining(at.now, policy.retry.budget),
    }


def endpoints_of(provider: Provider, registry: Registry) -> list[Endpoint]:
    """The provider's endpoints, with the capabilities that each of them serves."""
    found: dict[str, list[str]] = {}
    for capability in sorted(provider.supports - {"tools"}):
        found.setdefault(provider.endpoint(capability), []).append(capability)
    return [Endpoint(url, tuple(each), registry.provider(provider, each[0])) for url, each in found.items()]


def _condition(provider: Provider, states: Sequence[ProviderState], at: Moment, *, enabled: bool) -> dict[str, Any]:
    """Health, performance, breaker and cool-down of some endpoints of a provider, the worst of each."""
    now = at.now
    told = gauge(provider, states, now, enabled=enabled)
    breaker = max((state.breaker for state in states), key=lambda each: SEVERITY.index(each.state(now)))
    cool_down = max((state.cool_down for state in states), key=lambda each: each.remaining(now))
    until = breaker.opens_until if breaker.state(now) is State.OPEN else None
    return {
        "health": {"status": told.health, **_evidence(states)},
        "performance": _performance([state.window for state in states], now),
        "circuit_breaker": {
            "state": told.breaker_state,
            "failure_count": max(state.breaker.failure_count for state in states),
            "opens_until": None if until is None else at.epoch(until),
            "open_since": None if breaker.open_since is None else at.epoch(breaker.open_since),
        },
        "cool_down": {
            "remaining": told.cooldown_seconds,
            "reason": cool_down.reason if told.cooldown_seconds > 0 else None,
        },
        "in_flight": told.in_flight,
        "queued": told.queued,
    }


def _evidence(states: Sequence[ProviderState]) -> dict[str, Any]:
    """What the health status rests on: of the endpoint that is worst off, and of the newest check."""
    worst = max((state.health for state in states), key=lambda each: GRAVITY.index(each.status))
    newest = max((state.health for state in states), key=lambda each: each.last_check or 0.0)
    errors = (worst.last_error, *(state.last_error for state in states))
    return {
        "consecutive_failures": worst.consecutive_failures,
        "consecutive_successes": worst.consecutive_successes,
        "last_check": newest.last_check,
        "last_check_seconds": newest.last_latency,
        "last_error": next((error for error in errors if error), None),
    }


def _performance(windows: Sequence[Window], now: float) -> dict[str, Any]:
    """The last five minutes. Percentiles do not add up: they are those of the busiest endpoint."""
    seen = [window.performance(now) for window in windows]
    busiest = max(seen, key=lambda each: each.requests)
    requests = sum(each.requests for each in seen)
    successes = sum(each.requests * (each.success_rate or 0.0) for each in seen)
    seconds = sum(each.requests * (each.success_rate or 0.0) * (each.average_response_time or 0.0) for each in seen)
    return {
        "requests": requests,
        "success_rate": successes / requests if requests else 0.0,
        "average_response_time": seconds / successes if successes else 0.0,
        "requests_per_minute": sum(each.requests_per_minute for each in seen),
        "uptime_percentage": busiest.uptime_percentage,
        "p50": busiest.p50,
        "p95": busiest.p95,
        "p99": busiest.p99,
        "first_output_p50": busiest.first_output_p50,
    }


def _rate_limits(provider: Provider, registry: Registry, now: float) -> dict[str, Any]:
    """By capability: what is allowed and what is left of it."""
    return {
        capability: {
            "limit": rate.count,
            "period": rate.period,
            "left": registry.provider(provider, capability).limiter(capability).left(now, rate),
        }
        for capability, rate in provider.rate_limit.items()
    }
