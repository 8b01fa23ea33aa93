from dataclasses import replace

import pytest
from lab import records

from proxy.clock import SystemClock
from proxy.config.snapshot import Admin, Match, Policy, Provider, Route, Server, Snapshot, Telemetry, Traces
from proxy.registry import Registry
from proxy.resilience.breaker import State
from proxy.resilience.health import Status
from proxy.telemetry.hub import Telemetry as Hub
from proxy.telemetry.reading import health, reading

PROVIDERS = {
    "poll": Provider(
        name="poll",
        dialect="pollinations",
        text_url="http://t",
        image_url="http://i/",
        auth="optional",
        supports=frozenset({"chat", "images"}),
    ),
    "keyless": Provider(name="keyless", dialect="openai", base_url="http://k", enabled=False),
}
SNAPSHOT = Snapshot(
    generation="abc123def456",
    server=Server(admin=Admin()),
    telemetry=Telemetry(traces=Traces(sample=0.0)),
    providers=PROVIDERS,
    routes=(Route(name="chat", match=Match(path="/v1/chat/completions"), providers=("poll",), policy="p"),),
    policies={"p": Policy(name="p")},
)
SPAN = "b7ad6b7169203331"


def registry():
    made = Registry()
    made.adopt(SNAPSHOT)
    return made


def read(made, now=100.0):
    told = reading(made, SNAPSHOT, now, spans_dropped=1, log_lines_dropped=2)
    return told, {gauge.provider: gauge for gauge in told.providers}


def test_a_provider_is_as_badly_off_as_the_worst_of_its_endpoints():
    made = registry()
    text, image = (made.provider(PROVIDERS["poll"], capability) for capability in ("chat", "images"))
    text.in_flight, image.in_flight = 1, 2
    image.cool_down.extend(100.0, 30.0, "rate_limited")
    _, providers = read(made)
    assert (providers["poll"].in_flight, providers["poll"].cooldown_seconds) == (3, 30.0)
    assert providers["poll"].health == "degraded"


def test_what_the_operator_switched_off_or_gave_no_key_is_shown_so():
    _, providers = read(registry())
    keyless = providers["keyless"]
    assert (keyless.enabled, keyless.configured, keyless.health) == (False, False, "disabled")


def test_a_reading_tells_generation_budgets_and_losses():
    told, _ = read(registry())
    assert (told.generation, told.retry_budgets, told.spans_dropped) == ("abc123def456", {"chat": 30.0}, 1)
    assert told.log_lines_dropped == 2


@pytest.mark.parametrize(
    ("breaker", "troubled", "proven", "expected"),
    [
        (State.CLOSED, False, False, "unknown"),
        (State.CLOSED, False, True, "healthy"),
        (State.CLOSED, True, True, "degraded"),
        (State.HALF_OPEN, False, True, "degraded"),
        (State.OPEN, True, True, "unhealthy"),
    ],
)
def test_health_is_what_live_traffic_says(breaker, troubled, proven, expected):
    assert health(breaker, enabled=True, troubled=troubled, proven=proven) == expected


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [("healthy", "healthy"), ("degraded", "degraded"), ("unhealthy", "unhealthy"), ("unknown", "unknown")],
)
def test_checks_tell_where_live_traffic_is_silent(evidence, expected):
    quiet = {"enabled": True, "troubled": False, "proven": False}
    assert health(State.CLOSED, **quiet, evidence=Status(evidence)) == expected


def test_an_endpoint_that_fails_its_checks_makes_its_provider_unhealthy():
    made = registry()
    text, image = (made.provider(PROVIDERS["poll"], capability) for capability in ("chat", "images"))
    text.health.status, image.health.status = Status.HEALTHY, Status.UNKNOWN
    assert read(made)[1]["poll"].health == "healthy"
    image.health.status = Status.UNHEALTHY
    assert read(made)[1]["poll"].health == "unhealthy"


class Clock(SystemClock):
    """A wall clock that is set by hand."""

    def __init__(self):
        self.time = 1_800_000_000.0

    def wall(self):
        return self.time


def hub(sample=0.0, clock=None):
    telemetry = replace(SNAPSHOT.telemetry, traces=Traces(sample=sample))
    return Hub(telemetry, registry(), clock or SystemClock(), lambda: SNAPSHOT)


def begun(traceparent=None, tracestate=None, *, sample=0.0):
    headers = {"traceparent": traceparent, "tracestate": tracestate}
    return hub(sample).new_record(records.request(), {k: v for k, v in headers.items() if v is not None}, 5.0)


def test_a_record_begins_in_its_callers_trace():
    record = begun(f"00-{records.TRACE_ID}-{SPAN}-01", "a=1")
    assert (record.trace_id, record.parent_span_id) == (records.TRACE_ID, int(SPAN, 16))
    assert (record.started, record.sampled, record.trace_state) == (5.0, True, "a=1")


def test_the_caller_decides_against_sampling_too():
    assert begun(f"00-{records.TRACE_ID}-{SPAN}-00", sample=1.0).sampled is False


@pytest.mark.parametrize("traceparent", [None, "nonsense"])
def test_without_a_caller_a_new_trace_begins_and_tracestate_is_ignored(traceparent):
    record, other = begun(traceparent, "a=1"), begun(traceparent)
    assert (record.parent_span_id, record.trace_state) == (None, "")
    assert record.trace_id not in {"0" * 32, other.trace_id}


@pytest.mark.parametrize(("sample", "sampled"), [(0.0, False), (1.0, True)])
def test_without_a_caller_the_configured_share_decides(sample, sampled):
    assert begun(sample=sample).sampled is sampled


def test_a_wall_clock_that_was_set_is_right_from_the_next_request_on():
    clock = Clock()
    telemetry = hub(clock=clock)
    before = telemetry.new_record(records.request(), {}, 5.0)
    clock.time -= 3600.0
    after = telemetry.new_record(records.request(), {}, 6.0)
    assert (before.started + before.wall_offset, after.started + after.wall_offset) == (1_800_000_000.0, clock.time)


def test_a_finished_record_is_counted():
    telemetry = hub()
    telemetry.observe([records.success()])
    body, _ = telemetry.metrics.render()
    assert b'sidestep_requests_total{operation="chat",outcome="ok",route="chat",status="2xx"} 1.0' in body
    assert b'sidestep_generation_info{generation="abc123def456"} 1.0' in body
    telemetry.close()
