from dataclasses import replace
from types import MappingProxyType

from hypothesis import given
from hypothesis import strategies as st

from proxy.config.snapshot import (
    Cache,
    Concurrency,
    Limits,
    Policy,
    Provider,
    ProviderHealth,
    Rate,
    RetryBudget,
    RetrySettings,
    Server,
    Snapshot,
    Telemetry,
)
from proxy.workers.share import part, rate, shared

WORKERS = st.integers(1, 64)


def snapshot(*, provider=None, policy=None, limits=None):
    return Snapshot(
        generation="g",
        server=Server(limits=limits or Limits()),
        telemetry=Telemetry(),
        providers=MappingProxyType({"p": provider or Provider(name="p", dialect="openai")}),
        routes=(),
        policies=MappingProxyType({"default": policy or Policy(name="default")}),
    )


@given(st.integers(0, 10_000), WORKERS)
def test_the_parts_of_a_count_add_up_to_it_or_are_one_each(count, workers):
    parts = [part(count, worker, workers) for worker in range(workers)]
    if 0 < count < workers:
        assert parts == [1] * workers
    else:
        assert sum(parts) == count
        assert max(parts) - min(parts) <= 1


@given(st.integers(1, 10_000), st.floats(0.1, 86_400), WORKERS)
def test_the_parts_of_a_rate_add_up_to_it(count, period, workers):
    parts = [rate(Rate(count, period), worker, workers) for worker in range(workers)]
    assert abs(sum(each.count / each.period for each in parts) - count / period) < 1e-6 * count / period
    assert all(each.count >= 1 for each in parts)


def test_one_worker_follows_the_very_configuration():
    whole = snapshot()
    assert shared(whole, 0, 1) is whole


def test_twenty_a_minute_become_seven_seven_and_six():
    whole = snapshot(provider=Provider(name="p", dialect="openai", rate_limit={"chat": Rate(20, 60.0)}))
    counts = [shared(whole, worker, 3).providers["p"].rate_limit["chat"].count for worker in range(3)]
    assert counts == [7, 7, 6]


def test_of_fewer_requests_than_workers_each_gets_one_less_often():
    assert rate(Rate(1, 60.0), 1, 3) == Rate(1, 180.0)


def test_places_at_a_provider_are_dealt_out():
    whole = snapshot(provider=Provider(name="p", dialect="openai", concurrency=Concurrency(max=5, queue=0)))
    found = [shared(whole, worker, 2).providers["p"].concurrency for worker in range(2)]
    assert [(each.max, each.queue) for each in found] == [(3, 0), (2, 0)]


def test_connections_and_requests_in_flight_are_dealt_out_and_other_limits_are_not():
    limits = Limits(connections=10, in_flight=3)
    found = [shared(snapshot(limits=limits), worker, 2).server.limits for worker in range(2)]
    assert found == [replace(limits, connections=5, in_flight=2), replace(limits, connections=5, in_flight=1)]


def test_the_cache_and_the_least_retries_are_dealt_out():
    policy = Policy(
        name="default",
        cache=Cache(ttl=1.0, max_entries=10, max_bytes=100),
        retry=RetrySettings(budget=RetryBudget(ratio=0.2, min=3.0)),
    )
    found = shared(snapshot(policy=policy), 0, 2).policies["default"]
    assert found.cache == Cache(ttl=1.0, max_entries=5, max_bytes=50)
    assert found.retry.budget == RetryBudget(ratio=0.2, min=1.5)


def test_checks_that_may_be_billed_are_made_less_often_by_each_and_others_are_not():
    free, billed = ProviderHealth(interval=60.0), ProviderHealth(interval=60.0, allow_cost=True)
    intervals = [
        shared(snapshot(provider=Provider(name="p", dialect="openai", health=each)), 0, 2)
        .providers["p"]
        .health.interval
        for each in (free, billed)
    ]
    assert intervals == [60.0, 120.0]


def test_what_names_the_configuration_and_where_it_was_written_stay():
    whole = snapshot()
    assert shared(whole, 1, 2).generation == whole.generation
    assert shared(whole, 1, 2).written == whole.written
