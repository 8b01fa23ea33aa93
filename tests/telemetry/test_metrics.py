import random
import re
from pathlib import Path

import pytest
from lab import records
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from proxy.errors import ErrorClass, Failure
from proxy.messages import AnswerFacts
from proxy.telemetry.gauges import ProviderGauge, Reading
from proxy.telemetry.metrics import STATUS_CLASSES, Metrics

DOCUMENT = Path(__file__).parents[2] / "docs" / "telemetry.md"


def value(metrics, name, **labels):
    return metrics.registry.get_sample_value(name, labels)


def observed(*finished):
    metrics = Metrics(version="1.2.3")
    metrics.observe(finished)
    return metrics


def test_a_request_is_counted_by_route_operation_status_and_outcome():
    metrics = observed(records.success(), records.success(), records.all_failed())
    ok = {"route": "chat", "operation": "chat", "status": "2xx", "outcome": "ok"}
    failed = {"route": "chat", "operation": "chat", "status": "5xx", "outcome": "failed"}
    assert value(metrics, "sidestep_requests_total", **ok) == 2
    assert value(metrics, "sidestep_requests_total", **failed) == 1


def test_every_request_has_one_outcome():
    finished = [records.success(), records.failover(), records.cancelled(), records.verdict(), records.broken_stream()]
    families = plain(observed(*finished).render()[0].decode())
    (requests,) = (family for family in families if family.name == "sidestep_requests")
    assert sum(sample.value for sample in requests.samples) == len(finished)


def test_attempts_failovers_and_repeats_are_counted():
    metrics = observed(records.all_failed())
    attempts = {
        name: value(metrics, "sidestep_attempts_total", **{"provider": name, "class": "overloaded"})
        for name in ("alpha", "beta")
    }
    assert attempts == {"alpha": 2, "beta": 1}
    moved = {"from": "alpha", "to": "beta", "reason": "overloaded"}
    assert value(metrics, "sidestep_failovers_total", **moved) == 1
    assert value(metrics, "sidestep_retries_total", provider="alpha") == 1


def test_a_call_that_may_be_billed_is_counted():
    failure = Failure(error_class=ErrorClass.TIMEOUT, message="late")
    assert (
        value(observed(records.record(records.call(failure=failure))), "sidestep_maybe_billed_total", provider="alpha")
        == 1
    )


def test_durations_first_output_and_overhead_are_observed():
    metrics = observed(records.success())
    assert value(metrics, "sidestep_request_duration_seconds_sum", route="chat", operation="chat") == 2.0
    assert value(metrics, "sidestep_attempt_duration_seconds_sum", provider="alpha") == 1.5
    assert value(metrics, "sidestep_first_output_seconds_sum", provider="alpha") == pytest.approx(1.4)
    assert value(metrics, "sidestep_overhead_seconds_sum") == pytest.approx(0.5)


def test_tokens_are_counted_by_type_and_unknown_is_not_zero():
    facts = AnswerFacts(input_tokens=7, output_tokens=3, cached_tokens=0, reasoning_tokens=None)
    metrics = observed(records.record(records.call(facts=facts)))
    tokens = {
        kind: value(metrics, "sidestep_tokens_total", provider="alpha", type=kind)
        for kind in ("input", "output", "cached", "reasoning")
    }
    assert tokens == {"input": 7, "output": 3, "cached": None, "reasoning": None}


def test_degraded_answers_and_bytes_are_counted():
    metrics = observed(records.success(degraded="static", response_bytes=100))
    assert value(metrics, "sidestep_degraded_total", route="chat", kind="static") == 1
    assert value(metrics, "sidestep_response_bytes_total", route="chat") == 100


def test_reloads_are_counted_and_the_last_one_is_shown():
    metrics = Metrics()
    assert value(metrics, "sidestep_config_last_reload_successful") == 1
    metrics.reloaded(ok=True)
    metrics.reloaded(ok=False)
    assert value(metrics, "sidestep_config_reloads_total", result="refused") == 1
    assert value(metrics, "sidestep_config_last_reload_successful") == 0


def test_gauges_are_read_at_every_scrape():
    readings = iter([1, 2])
    metrics = Metrics(lambda: Reading(in_flight=next(readings)))
    assert b"sidestep_requests_in_flight 1.0" in metrics.render()[0]
    assert b"sidestep_requests_in_flight 2.0" in metrics.render()[0]


def test_a_provider_is_shown_as_it_stands():
    provider = ProviderGauge(
        provider="alpha", breaker_state="open", health="unhealthy", cooldown_seconds=3.5, in_flight=2, configured=False
    )
    metrics = Metrics(
        lambda: Reading(
            providers=[provider], retry_budgets={"chat": 3}, generation="abc", spans_dropped=4, log_lines_dropped=5
        )
    )
    assert value(metrics, "sidestep_breaker_state", provider="alpha", state="open") == 1
    assert value(metrics, "sidestep_breaker_state", provider="alpha", state="closed") == 0
    assert value(metrics, "sidestep_provider_health", provider="alpha", status="unhealthy") == 1
    assert value(metrics, "sidestep_provider_cooldown_seconds", provider="alpha") == 3.5
    assert value(metrics, "sidestep_provider_in_flight", provider="alpha") == 2
    assert value(metrics, "sidestep_provider_enabled", provider="alpha") == 1
    assert value(metrics, "sidestep_provider_configured", provider="alpha") == 0
    assert value(metrics, "sidestep_retry_budget_remaining", route="chat") == 3
    assert value(metrics, "sidestep_generation_info", generation="abc") == 1
    assert value(metrics, "sidestep_spans_dropped_total") == 4
    assert value(metrics, "sidestep_log_lines_dropped_total") == 5


def test_nothing_that_a_client_writes_becomes_a_series():
    draw = random.Random(5)
    metrics = observed(records.success())
    before = len(metrics.render()[0].splitlines())
    for _ in range(200):
        text = f"{draw.getrandbits(64):x}"
        metrics.observe([records.success(request=records.request(model=text, path=f"/{text}", id=text))])
    assert len(metrics.render()[0].splitlines()) == before


def test_a_status_outside_of_http_has_no_class_of_its_own():
    assert [STATUS_CLASSES.get(status, "none") for status in (0, 99, 200, 499, 599, 600)] == [
        "none",
        "none",
        "2xx",
        "4xx",
        "5xx",
        "none",
    ]


def test_the_plain_format_is_what_a_browser_gets():
    body, content_type = observed(records.failover()).render("text/html")
    assert content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert len(list(plain(body.decode()))) > 10
    assert b"_created" not in body


def test_openmetrics_is_given_when_it_is_asked_for():
    body, content_type = observed(records.failover()).render("application/openmetrics-text; version=1.0.0,text/plain")
    assert content_type.startswith("application/openmetrics-text")
    assert len(list(openmetrics(body.decode()))) > 10


def test_the_documented_metrics_are_those_that_exist():
    section = DOCUMENT.read_text().partition("## Metrics")[2].partition("\n## ")[0]
    documented = dict(re.findall(r"^\| `(sidestep_\w+)(?:\{([\w,]*)\})?` \|", section, re.MULTILINE))
    provider = ProviderGauge(provider="alpha")
    metrics = Metrics(lambda: Reading(providers=[provider], retry_budgets={"chat": 1}, refused={"lag": 1}))
    failure = Failure(error_class=ErrorClass.TIMEOUT, message="late")
    facts = AnswerFacts(input_tokens=1)
    late = records.call(hedge="failed", failure=failure, facts=facts, first_output_at=records.STARTED)
    metrics.observe([records.all_failed(degraded="static", cache="miss"), records.record(late)])
    metrics.reloaded(ok=True)
    metrics.checked("alpha", "ok")
    existing = {}
    for family in metrics.registry.collect():
        name = family.name + ("_total" if family.type == "counter" else "")
        if name.startswith("sidestep_"):
            labels = set(family.samples[0].labels) - {"le"}
            existing[name] = labels
    assert {name: set(labels.split(",")) - {""} for name, labels in documented.items()} == existing
