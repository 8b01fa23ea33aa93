"""A worker's part of the configured limits, so that together the workers keep what the files say. Pure.

Counts are dealt out like cards: of 20 among three, the first two get 7 and the last gets 6. What is measured in
shares or times (ratios, breakers, health) is the same for every worker.
"""

from dataclasses import replace
from types import MappingProxyType

from proxy.config.snapshot import Policy, Provider, Rate, Snapshot


def shared(snapshot: Snapshot, worker: int, workers: int) -> Snapshot:
    """The configuration that worker number `worker` (counted from 0) of `workers` follows."""
    if workers == 1:
        return snapshot
    limits = snapshot.server.limits
    limits = replace(
        limits,
        connections=part(limits.connections, worker, workers),
        in_flight=part(limits.in_flight, worker, workers),
    )
    providers = {name: _provider(each, worker, workers) for name, each in snapshot.providers.items()}
    policies = {name: _policy(each, worker, workers) for name, each in snapshot.policies.items()}
    return replace(
        snapshot,
        server=replace(snapshot.server, limits=limits),
        providers=MappingProxyType(providers),
        policies=MappingProxyType(policies),
    )


def part(count: int, worker: int, workers: int) -> int:
    """One worker's part of a count; at least 1 of what is not 0, or it could not work at all."""
    return max(min(1, count), count // workers + (worker < count % workers))


def rate(whole: Rate, worker: int, workers: int) -> Rate:
    """One worker's part of a rate. Of fewer requests than workers each gets one, in a period that much longer."""
    if whole.count < workers:
        return Rate(1, whole.period * workers / whole.count)
    return Rate(part(whole.count, worker, workers), whole.period)


def _provider(provider: Provider, worker: int, workers: int) -> Provider:
    rates = {name: rate(each, worker, workers) for name, each in provider.rate_limit.items()}
    concurrency = provider.concurrency
    if concurrency is not None:
        concurrency = replace(
            concurrency,
            max=part(concurrency.max, worker, workers),
            queue=part(concurrency.queue, worker, workers),
        )
    health = provider.health
    if health.allow_cost:  # every worker checks by itself; together they must not cost more
        health = replace(health, interval=health.interval * workers)
    return replace(provider, rate_limit=MappingProxyType(rates), concurrency=concurrency, health=health)


def _policy(policy: Policy, worker: int, workers: int) -> Policy:
    budget = replace(policy.retry.budget, min=policy.retry.budget.min / workers)
    cache = policy.cache
    if cache is not None:
        cache = replace(
            cache,
            max_entries=part(cache.max_entries, worker, workers),
            max_bytes=part(cache.max_bytes, worker, workers),
        )
    return replace(policy, retry=replace(policy.retry, budget=budget), cache=cache)
