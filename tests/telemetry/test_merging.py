from prometheus_client.parser import text_string_to_metric_families

from proxy.telemetry.gauges import ProviderGauge, Reading
from proxy.telemetry.merging import lasting, merged, render, samples
from proxy.telemetry.metrics import Metrics


def process(*, checks=1, **reading):
    """The families of one process that made so many health checks."""
    metrics = Metrics(lambda: Reading(**reading), version="1")
    for _ in range(checks):
        metrics.checked("p", "ok")
    return samples(metrics)


def value(families, sample, **labels):
    found = [
        value
        for _, _, _, told in families
        for name, held, value in told
        if name == sample and labels.items() <= held.items()
    ]
    assert found, f"no sample {sample} {labels}"
    return sum(found)


def provider(**fields):
    return {"providers": [ProviderGauge(provider="p", **fields)]}


def test_counters_add_up():
    assert value(merged([process(checks=2), process(checks=3)]), "sidestep_health_checks_total") == 5


def test_histograms_add_up_bucket_by_bucket():
    one, other = Metrics(), Metrics()
    for metrics, overhead in ((one, 0.0001), (other, 0.003)):
        metrics.overhead.add(overhead)
    found = merged([samples(one), samples(other)])
    assert value(found, "sidestep_overhead_seconds_count") == 2
    assert value(found, "sidestep_overhead_seconds_bucket", le="0.00025") == 1
    assert value(found, "sidestep_overhead_seconds_bucket", le="0.004") == 2


def test_what_is_in_flight_adds_up_and_the_longest_lag_counts():
    found = merged([process(in_flight=2, lag=0.1), process(in_flight=3, lag=0.4)])
    assert value(found, "sidestep_requests_in_flight") == 5
    assert value(found, "sidestep_loop_lag_seconds") == 0.4


def test_a_breaker_is_in_the_worst_state_that_anybody_sees_and_in_that_one_only():
    found = merged([process(**provider(breaker_state=state)) for state in ("closed", "open", "half_open")])
    states = {state: value(found, "sidestep_breaker_state", state=state) for state in ("closed", "open", "half_open")}
    assert states == {"closed": 0, "open": 1, "half_open": 0}


def test_one_who_knows_that_a_provider_is_well_speaks_for_one_who_does_not_know():
    found = merged([process(**provider(health=health)) for health in ("unknown", "healthy")])
    assert value(found, "sidestep_provider_health", status="healthy") == 1
    assert value(found, "sidestep_provider_health", status="unknown") == 0


def test_two_generations_are_both_shown():
    found = merged([process(generation=name) for name in ("old", "new")])
    assert value(found, "sidestep_generation_info", generation="old") == 1
    assert value(found, "sidestep_generation_info", generation="new") == 1


def test_a_refused_reload_of_one_is_the_news():
    refused = Metrics()
    refused.reloaded(ok=False)
    assert value(merged([process(), samples(refused)]), "sidestep_config_last_reload_successful") == 0


def test_of_a_process_that_is_gone_only_its_counts_last():
    kept = lasting(process(checks=2, in_flight=7))
    assert value(kept, "sidestep_health_checks_total") == 2
    assert not [family for family in kept if family[2] == "gauge"]


def test_the_page_of_one_process_is_the_same_by_either_way():
    metrics = Metrics(lambda: Reading(generation="g", **provider()), version="1")
    metrics.checked("p", "ok")
    for accept in ("", "application/openmetrics-text"):
        (direct, kind), (page, same_kind) = metrics.render(accept), render(merged([samples(metrics)]), accept)
        assert kind == same_kind
        assert names(page) == names(direct)


def names(page):
    """Every sample by its name and labels."""
    text = page.decode().removesuffix("# EOF\n")
    families = text_string_to_metric_families(text)
    return [(sample.name, sample.labels) for family in families for sample in family.samples]
